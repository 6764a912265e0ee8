package queueproxy

import (
	"io"
	"net/http"
	"strings"
	"testing"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// collectorOf is a collector of OTLP for one kind of signal, over HTTP and gRPC; got has the requests' bytes.
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

// Request metrics go to a collector, with the last ones as the pod ends, and nothing listens for Prometheus.
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
	pod := startMain(t, startApp(t, http.HandlerFunc(ok)), []string{
		knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"grpc","endpoint":"http://` + freeAddr(t) + `","exportInterval":1000000}}`,
	})
	for range 10 {
		if got := visit(t, pod); got.status != 200 {
			t.Errorf("%d", got.status)
		}
	}
}
