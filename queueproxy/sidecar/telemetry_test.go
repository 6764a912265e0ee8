package sidecar

import (
	"io"
	"net/http"
	"strings"
	"testing"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// collectorOf starts an OTLP collector for one kind of signal, over HTTP and gRPC, and returns its URL and the request bodies.
func collectorOf(t *testing.T) (url string, got <-chan []byte) {
	t.Helper()
	all := make(chan []byte, 100)
	addr := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Header.Get("Content-Type") == "application/grpc" {
			b = b[5:]
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = w.Write(make([]byte, 5))
			w.Header().Set("Grpc-Status", "0")
		}
		all <- b
	}))
	return "http://" + addr, all
}

// Request metrics are pushed to a collector, the last ones as the pod ends, and the port for Prometheus is closed.
func TestRequestMetricsArePushed(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			url, got := collectorOf(t)
			t.Run("pod", func(t *testing.T) {
				pod := startMain(t, startApp(t, http.HandlerFunc(ok)), []string{
					knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"` + protocol + `","endpoint":"` + url + `","exportInterval":3600000000000}}`,
					knative.EnvServingService, "svc", knative.EnvHostname, "host",
				})
				visit(t, pod)
			})
			var data metricspb.MetricsData
			if err := proto.Unmarshal(<-got, &data); err != nil {
				t.Fatal(err)
			}
			text := data.String()
			for _, want := range []string{
				"kn.serving.invocation.duration", "http.server.request.duration", "kn.serving.queue.depth", "kn.route.tag",
				"kn.service.name", "svc", "kn.revision.name", "hello-00001", "k8s.pod.name", "host", "service.name",
			} {
				if !strings.Contains(text, `"`+want+`"`) {
					t.Errorf("no %s in %s", want, text)
				}
			}
			if n := strings.Count(text, `"k8s.pod.name"`); n != 1 {
				t.Errorf("k8s.pod.name is there %d times", n)
			}
		})
	}
}

// A collector that can't be reached delays neither requests nor the end by more than the time for a flush.
func TestCollectorThatIsAway(t *testing.T) {
	t.Parallel()
	pod := startMain(t, startApp(t, http.HandlerFunc(ok)), []string{
		knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"grpc","endpoint":"http://` + freeAddr(t) + `","exportInterval":1000000}}`,
	})
	for range 10 {
		if got := visit(t, pod); got.status != 200 {
			t.Errorf("%d", got.status)
		}
	}
}

// A request's span is sent to the collector when the pod ends, and its trace context to the app; probes have no spans.
func TestTraces(t *testing.T) {
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, test := range []struct {
		name string
		env  func(collector string) []string
	}{
		{"http/protobuf", func(url string) []string {
			return []string{knative.EnvObservabilityConfig, `{"tracing":{"protocol":"http/protobuf","endpoint":"` + url + `","samplingRate":1}}`}
		}},
		{"grpc", func(url string) []string {
			return []string{knative.EnvObservabilityConfig, `{"tracing":{"protocol":"grpc","endpoint":"` + url + `","samplingRate":1}}`}
		}},
		{"classic", func(url string) []string {
			return []string{knative.EnvTracingBackend, "zipkin", knative.EnvTracingZipkinEndpoint, url + "/api/v2/spans", knative.EnvTracingDebug, "true"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, got := collectorOf(t)
			seen := make(chan string, 1)
			app := startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Traceparent") }))
			t.Run("pod", func(t *testing.T) {
				pod := startMain(t, app, test.env(url))
				visit(t, pod, "User-Agent", kubelet, knative.HeaderProbe, "queue")
				visit(t, pod, "Traceparent", "00-"+trace+"-"+parent+"-01")
			})
			if at := <-seen; !strings.HasPrefix(at, "00-"+trace+"-") || strings.Contains(at, parent) {
				t.Errorf("the app gets %q", at)
			}
			spans := string(<-got)
			for _, want := range []string{"queue", "hello-00001"} {
				contains(t, spans, want)
			}
			if n := strings.Count(spans, "queue"); n == 0 || strings.Contains(spans, "kn.queueproxy.wait") {
				t.Errorf("%q", spans)
			}
			if len(got) > 0 {
				t.Errorf("there are more: %q", <-got)
			}
		})
	}
}
