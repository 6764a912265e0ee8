package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"k8s.io/apimachinery/pkg/labels"
)

// streamingPod answers probes, and requests in two parts with a pause that is longer than the revision's timeout of 2 s.
func streamingPod(t *testing.T) (addr string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("K-Network-Probe") == "queue" {
			_, _ = io.WriteString(w, "queue")
			return
		}
		_, _ = io.WriteString(w, "begun ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(3 * time.Second):
			_, _ = io.WriteString(w, "ended")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func labelled(version string) labels.Set {
	return labels.Set{"app.kubernetes.io/name": "knative-serving", "app.kubernetes.io/version": version}
}

// Up to Knative 1.7 the activator enforces no timeout: timeoutSeconds of a Revision is the queue-proxy's, and up to 1.6 it
// bounds only the first byte. The release comes from the labels of its ConfigMaps or from a flag.
func TestC2TimeoutsOfTheInstalledRelease(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                   string
		observability, logging labels.Set
		args                   []string
		whole                  bool // a stream that is longer than timeoutSeconds
		says                   string
	}{
		{"nothing is known", nil, nil, nil, false, `"release":"not known","from":"","timeoutsBy":"activator and queue-proxy"`},
		{"built from source", labelled("devel"), nil, nil, false, `"release":"not known"`},
		{"1.2", labels.Set{"serving.knative.dev/release": "v1.2.0"}, nil, nil, true, `"release":"1.2","from":"labels of ConfigMap config-observability","timeoutsBy":"the queue-proxy alone"`},
		{"1.6", labelled("1.6.0"), labelled("1.6.0"), nil, true, `"release":"1.6"`},
		{"one without labels", nil, labelled("1.7.4"), nil, true, `"release":"1.7","from":"labels of ConfigMap config-logging"`},
		{"1.8", labelled("1.8.0"), labelled("1.8.0"), nil, false, `"release":"1.8","from":"labels of ConfigMap config-observability","timeoutsBy":"activator and queue-proxy"`},
		{"configured", labelled("1.23.0"), nil, []string{"-knative-release", "1.6"}, true, `"release":"1.6","from":"-knative-release"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api := startAPIServer(t, nil)
			api.put("configmaps", system, "config-observability", c.observability, object{"data": object{"metrics-endpoint": "127.0.0.1:0"}})
			api.put("configmaps", system, "config-logging", c.logging, object{"data": object{}})
			api.put("revisions", "default", "hello", nil, object{"spec": object{"containerConcurrency": 1, "timeoutSeconds": 2, "containers": []object{{"image": "x"}}}})
			api.put("services", "default", "hello-private", private, object{"spec": object{"clusterIP": "127.0.0.99"}})
			api.pods(t, streamingPod(t))
			p := onKubernetes(t, api, append([]string{"-drain", "0s"}, c.args...)...)
			p.ready(t)
			await(t, "the release, and its origin", func() bool { return p.says(c.says) })
			status, body, err := get(client(t, false), p.addresses("requests")[0])
			if whole := strings.HasSuffix(body, "begun ended") && err == nil; status != 200 || whole != c.whole {
				t.Errorf("%d %q, %v", status, body, err)
			}
			// In these releases Prometheus' metrics were on unless configured otherwise.
			if release := c.whole || c.name == "1.8"; release && c.args == nil {
				await(t, "metrics", func() bool { return len(p.addresses("metrics")) == 1 })
			}
		})
	}
}

func TestC2ReleaseChanges(t *testing.T) {
	t.Parallel()
	api := startAPIServer(t, nil)
	api.put("configmaps", system, "config-observability", labelled("1.7.0"), object{"data": object{"metrics-protocol": "none"}})
	api.revision()
	p := onKubernetes(t, api, "-drain", "0s")
	p.ready(t)
	api.put("configmaps", system, "config-observability", labelled("1.8.0"), object{"data": object{"metrics-protocol": "none"}})
	await(t, "the warning", func() bool { return p.says("takes effect at the next start of the activator") })
}

// The ConfigMaps that an activator reads as each release's manifests have them, where all keys are examples in a comment,
// and with all keys that the release knows; config-tracing was there up to 1.18.
func TestConfigMapsOfReleases(t *testing.T) {
	type data = map[string]string
	stock := data{"_example": "metrics-protocol: grpc"}
	for y := knative.Release(2); y <= 24; y++ {
		t.Run(y.String(), func(t *testing.T) {
			var of struct {
				observability, tracing, network data // with all keys
				defaults, all                   observability.Config
				classic                         bool
				traces                          observability.Exporter
			}
			of.network = data{"ingress-class": "kourier.ingress.networking.knative.dev", "enable-mesh-pod-addressability": "true", "mesh-compatibility-mode": "disabled"}
			if y < 19 {
				of.classic = true
				of.observability = data{
					"logging.enable-var-log-collection": "false", "logging.revision-url-template": "http://l/?revisionUID=${REVISION_UID}",
					"logging.request-log-template": "{{.Request.Host}}", "logging.enable-request-log": "true", "logging.enable-probe-request-log": "false",
					"metrics.backend-destination": "prometheus", "metrics.request-metrics-backend-destination": "opencensus",
					"metrics.opencensus-address": "c:55678", "profiling.enable": "true",
				}
				if y >= 11 {
					of.observability["metrics.reporting-period-seconds"], of.observability["metrics.request-metrics-reporting-period-seconds"] = "5", "5"
				}
				of.tracing = data{"backend": "zipkin", "zipkin-endpoint": "http://z:9411/api/v2/spans", "debug": "false", "sample-rate": "0.1"}
				of.traces = observability.Exporter{Protocol: observability.Zipkin, Endpoint: "http://z:9411/api/v2/spans", SamplingRate: 0.1, ParentBased: true}
				of.defaults.Metrics = observability.Exporter{Protocol: observability.Prometheus}
				of.all.Metrics = of.defaults.Metrics
			} else {
				of.observability = data{
					"logging.enable-var-log-collection": "false", "logging.revision-url-template": "http://l/?revisionUID=${REVISION_UID}",
					"logging.request-log-template": "{{.Request.Host}}", "logging.enable-request-log": "true", "logging.enable-probe-request-log": "false",
					"metrics-protocol": "http/protobuf", "metrics-endpoint": "http://c:4318/v1/metrics", "metrics-export-interval": "60s",
					"request-metrics-protocol": "http/protobuf", "request-metrics-endpoint": "http://p:9090/v1/metrics", "request-metrics-export-interval": "60s",
					"runtime-profiling": "enabled", "runtime-export-interval": "15s",
					"tracing-protocol": "http/protobuf", "tracing-endpoint": "http://j:4318/v1/traces", "tracing-sampling-rate": "1",
				}
				of.all.Metrics = observability.Exporter{Protocol: observability.HTTP, Endpoint: "http://c:4318/v1/metrics", Interval: time.Minute}
				of.all.RequestMetrics = observability.Exporter{Protocol: observability.HTTP, Endpoint: "http://p:9090/v1/metrics", Interval: time.Minute}
				of.all.Tracing = observability.Exporter{Protocol: observability.HTTP, Endpoint: "http://j:4318/v1/traces", SamplingRate: 1}
			}
			of.all.Profiling, of.all.RequestLog = true, observability.RequestLog{Enabled: true, Template: "{{.Request.Host}}"}
			net := network{passthrough: true, mesh: activator.MeshDisabled}
			switch {
			case y >= 6 && y < 12:
				of.network["internal-encryption"] = "true"
				net.tls, net.older = true, true
			case y >= 12:
				of.network["system-internal-tls"] = "Enabled"
				net.tls = true
			}
			for name, c := range map[string]struct {
				data data
				want observability.Config
			}{"stock": {stock, of.defaults}, "all keys": {of.observability, of.all}} {
				current, classic, err := translateOlder(c.data, y)
				if err != nil || classic != of.classic {
					t.Errorf("%s: classic %t, %v", name, classic, err)
				}
				if got, err := observability.ParseMap(current, nil, observability.Config{}); err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, c.want)
				}
			}
			for _, c := range []struct {
				data data
				want observability.Exporter
			}{{nil, observability.Exporter{}}, {stock, observability.Exporter{}}, {of.tracing, of.traces}} {
				if got, err := observability.ClassicTracingMap(c.data); err != nil || !reflect.DeepEqual(got, c.want) {
					t.Errorf("config-tracing: %+v, %v", got, err)
				}
			}
			if got, err := parseNetwork(stock); err != nil || got != (network{}) {
				t.Errorf("config-network: %v, %v", got, err)
			}
			if got, err := parseNetwork(of.network); err != nil || got != net {
				t.Errorf("config-network: %v, %v", got, err)
			}
		})
	}
}

func TestReleaseFlag(t *testing.T) {
	for _, c := range []struct {
		env, arg string
		want     knative.Release
		err      string
	}{
		{"", "", 0, ""},
		{"auto", "", 0, ""},
		{"1.6", "", 6, ""},
		{"1.6", "auto", 0, ""},
		{"", "v1.7.2", 7, ""},
		{"six", "", 0, `-knative-release: "six" is not a release of Knative such as 1.23, nor auto`},
	} {
		env := map[string]string{
			"POD_NAME": "a", "POD_IP": "10.0.0.1", "SYSTEM_NAMESPACE": system, "KUBERNETES_SERVICE_HOST": "10.96.0.1", envRelease: c.env,
		}
		var args []string
		if c.arg != "" {
			args = []string{"-knative-release", c.arg}
		}
		o, err := parse(args, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, io.Discard)
		if fmt.Sprint(err) != c.err && (err != nil || c.err != "") || o.release != c.want {
			t.Errorf("%s: %v, %v", strconv.Quote(c.env+" "+c.arg), o.release, err)
		}
	}
}
