package sidecar

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// release has the changes that a release of Knative makes to the environment of a sidecar (module knative.dev/serving,
// pkg/reconciler/revision/resources/queue.go), for a service without settings in a cluster with the release's ConfigMaps,
// and the changes that those make to our configuration.
type release struct {
	knative, module string
	gone            []string
	set             [][2]string
	means           func(*queueproxy.Config, *observed)
}

const (
	// Knative's built-in template of the request log, where the controller fills it in; off unless enabled.
	logTemplate    = `{"httpRequest": {"requestMethod": "{{.Request.Method}}"}, "traceId": "{{index .Request.Header "X-B3-Traceid"}}"}`
	logTemplateNow = `{"httpRequest": {"requestMethod": "{{.Request.Method}}"}, "traceId": "{{.TraceID}}"}`
)

// observabilityConfig is the JSON that Knative makes of an empty config-observability.
func observabilityConfig(template string) string {
	return `{"tracing":{"protocol":"none"},"metrics":{"protocol":"none"},"runtime":{"profiling":"disabled","exportInterval":15000000000},` +
		`"requestMetrics":{"protocol":"none"},"requestLogTemplate":` + fmt.Sprintf("%q", template) + `}`
}

// releases are all releases since 1.2. The first one sets everything.
func releases() []release {
	same := func(knative, module string) release { return release{knative: knative, module: module} }
	return []release{
		{
			knative: "1.2", module: "v0.29",
			set: [][2]string{
				{"SERVING_NAMESPACE", "default"},
				{"SERVING_SERVICE", "hello"},
				{"SERVING_CONFIGURATION", "hello"},
				{"SERVING_REVISION", "hello-00001"},
				{"QUEUE_SERVING_PORT", "8012"},
				{"CONTAINER_CONCURRENCY", "0"},
				{"REVISION_TIMEOUT_SECONDS", "300"},
				{"MAX_DURATION_SECONDS", "0"},
				{"SERVING_POD", "hello-00001-abc"},
				{"SERVING_POD_IP", "10.0.0.7"},
				{"SERVING_LOGGING_CONFIG", ""},
				{"SERVING_LOGGING_LEVEL", ""},
				{"SERVING_REQUEST_LOG_TEMPLATE", logTemplate},
				{"SERVING_ENABLE_REQUEST_LOG", "false"},
				{"SERVING_REQUEST_METRICS_BACKEND", "prometheus"},
				{"TRACING_CONFIG_BACKEND", "none"},
				{"TRACING_CONFIG_ZIPKIN_ENDPOINT", ""},
				{"TRACING_CONFIG_DEBUG", "false"},
				{"TRACING_CONFIG_SAMPLE_RATE", "0.1"},
				{"USER_PORT", "8080"},
				{"SYSTEM_NAMESPACE", "knative-serving"},
				{"METRICS_DOMAIN", "knative.dev/internal/serving"},
				{"SERVING_READINESS_PROBE", `{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1}`},
				{"ENABLE_PROFILING", "false"},
				{"SERVING_ENABLE_PROBE_REQUEST_LOG", "false"},
				{"METRICS_COLLECTOR_ADDRESS", ""},
				{"CONCURRENCY_STATE_ENDPOINT", ""},
				{"CONCURRENCY_STATE_TOKEN_PATH", "/var/run/secrets/tokens/state-token"},
				{"HOST_IP", "10.0.0.1"},
				{"ENABLE_HTTP2_AUTO_DETECTION", "false"},
			},
			means: func(c *queueproxy.Config, o *observed) {
				*c = queueproxy.Config{
					Identity: queueproxy.Identity{
						Namespace: "default", Service: "hello", Configuration: "hello", Revision: "hello-00001", Pod: "hello-00001-abc",
						PodIP: "10.0.0.7",
					},
					Addrs:    queueproxy.Addrs{Serve: ":8012", Admin: ":8022", Stats: ":9090", Metrics: ":9091", Profiling: ":8008", TLS: ":8112"},
					UserAddr: "127.0.0.1:8080",
					// REVISION_TIMEOUT_SECONDS bounds the first byte; the whole request has no bound.
					Timeouts: proxy.Timeouts{ResponseStart: 300 * time.Second}, GracePeriod: 300 * time.Second,
					Probes:         []queueproxy.Probe{{Kind: queueproxy.ProbeTCP, Addr: "127.0.0.1:8080", Aggressive: true, SuccessThreshold: 1}},
					RequestMetrics: queueproxy.MetricsClassic, CertsDir: "/var/lib/knative/certs", TLS: &tls.Config{MinVersion: tls.VersionTLS13},
				}
				*o = observed{classicMetrics: true}
			},
		},
		{knative: "1.3", module: "v0.30", gone: []string{"MAX_DURATION_SECONDS"}},
		{knative: "1.4", module: "v0.31", set: [][2]string{{"QUEUE_SERVING_TLS_PORT", "8112"}}},
		same("1.5", "v0.32"),
		same("1.6", "v0.33"),
		{
			knative: "1.7", module: "v0.34",
			set: [][2]string{{"REVISION_RESPONSE_START_TIMEOUT_SECONDS", "0"}, {"REVISION_IDLE_TIMEOUT_SECONDS", "0"}},
			// From here on REVISION_TIMEOUT_SECONDS bounds the whole request.
			means: func(c *queueproxy.Config, _ *observed) { c.Timeouts = proxy.Timeouts{Total: 300 * time.Second} },
		},
		same("1.8", "v0.35"),
		{knative: "1.9", module: "v0.36", set: [][2]string{{"ROOT_CA", ""}}},
		{knative: "1.10", module: "v0.37", gone: []string{"CONCURRENCY_STATE_ENDPOINT", "CONCURRENCY_STATE_TOKEN_PATH"}},
		{knative: "1.11", module: "v0.38", set: [][2]string{{"SERVING_REQUEST_METRICS_REPORTING_PERIOD_SECONDS", "5"}}},
		same("1.12", "v0.39"),
		{knative: "1.13", module: "v0.40", set: [][2]string{{"ENABLE_HTTP_FULL_DUPLEX", "false"}}},
		{knative: "1.14", module: "v0.41", set: [][2]string{{"ENABLE_MULTI_CONTAINER_PROBES", "false"}}},
		same("1.15", "v0.42"),
		same("1.16", "v0.43"),
		same("1.17", "v0.44"),
		same("1.18", "v0.45"),
		{
			knative: "1.19", module: "v0.46",
			gone: []string{
				"ENABLE_PROFILING", "METRICS_COLLECTOR_ADDRESS", "METRICS_DOMAIN", "SERVING_ENABLE_PROBE_REQUEST_LOG", "SERVING_ENABLE_REQUEST_LOG",
				"SERVING_REQUEST_LOG_TEMPLATE", "SERVING_REQUEST_METRICS_BACKEND", "SERVING_REQUEST_METRICS_REPORTING_PERIOD_SECONDS",
				"TRACING_CONFIG_BACKEND", "TRACING_CONFIG_DEBUG", "TRACING_CONFIG_SAMPLE_RATE", "TRACING_CONFIG_ZIPKIN_ENDPOINT",
			},
			set: [][2]string{{"OBSERVABILITY_CONFIG", observabilityConfig(logTemplate)}},
			means: func(c *queueproxy.Config, o *observed) {
				c.RequestMetrics, o.classicMetrics = queueproxy.MetricsOff, false // none is the default now
				o.RequestLog.Template = logTemplate
			},
		},
		same("1.20", "v0.47"),
		{
			knative: "1.21", module: "v0.48", set: [][2]string{{"OBSERVABILITY_CONFIG", observabilityConfig(logTemplateNow)}},
			means: func(_ *queueproxy.Config, o *observed) { o.RequestLog.Template = logTemplateNow },
		},
		{
			knative: "1.22", module: "v0.49",
			set: [][2]string{
				{"QUEUE_PROXY_TLS_MIN_VERSION", ""},
				{"QUEUE_PROXY_TLS_MAX_VERSION", ""},
				{"QUEUE_PROXY_TLS_CIPHER_SUITES", ""},
				{"QUEUE_PROXY_TLS_CURVE_PREFERENCES", ""},
			},
		},
		same("1.23", "v0.50"),
		same("1.24", "v0.51"),
	}
}

// eachRelease calls do with the whole environment of each release, and the configuration that we expect from it.
func eachRelease(t *testing.T, do func(t *testing.T, r release, vars map[string]string, c queueproxy.Config, o observed)) {
	vars := map[string]string{}
	var c queueproxy.Config
	var o observed
	for _, r := range releases() {
		for _, name := range r.gone {
			if _, ok := vars[name]; !ok {
				t.Fatalf("%s removes %s, which was not there", r.knative, name)
			}
			delete(vars, name)
		}
		for _, v := range r.set {
			vars[v[0]] = v[1]
		}
		if r.means != nil {
			r.means(&c, &o)
		}
		t.Run(r.knative, func(t *testing.T) { do(t, r, maps.Clone(vars), c, o) })
	}
}

func lookupIn(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// The environment of each release has the same meaning as for that release's own queue-proxy, and causes no warning.
func TestReleases(t *testing.T) {
	eachRelease(t, func(t *testing.T, _ release, vars map[string]string, want queueproxy.Config, wantObserved observed) {
		got, err := ConfigFromEnv(lookupIn(vars))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if err := got.Validate(); err != nil {
			t.Error(err)
		}
		if o := observedFrom(&program.Environment{Lookup: lookupIn(vars)}); !reflect.DeepEqual(o, wantObserved) {
			t.Errorf("observed\ngot  %+v\nwant %+v", o, wantObserved)
		}
		for _, name := range slices.Sorted(maps.Keys(vars)) {
			if !slices.ContainsFunc(variables(), func(v variable) bool { return v.name == name }) && !slices.Contains(unread, name) {
				t.Errorf("%s is set by Knative, and is neither read nor listed as unread", name)
			}
		}
	})
}

// unread are variables of Knative's that our queue-proxy does not need.
var unread = []string{
	"HOST_IP",                                                    // where CONCURRENCY_STATE_ENDPOINT may be
	"ROOT_CA",                                                    // roots for the certificate of Knative's queue-proxy
	"CONCURRENCY_STATE_ENDPOINT", "CONCURRENCY_STATE_TOKEN_PATH", // pods are not frozen (docs/knative.md, "Known limits")
	"METRICS_COLLECTOR_ADDRESS", "METRICS_DOMAIN", // of OpenCensus
	"SERVING_REQUEST_METRICS_REPORTING_PERIOD_SECONDS", // our metrics are always current when they are scraped
}

// The settings that a service or an operator can make differ between releases too.
func TestReleasesWhenAsked(t *testing.T) {
	eachRelease(t, func(t *testing.T, _ release, vars map[string]string, want queueproxy.Config, wantObserved observed) {
		ask := func(name, value string) bool {
			_, ok := vars[name]
			if ok {
				vars[name] = value
			}
			return ok
		}
		ask("REVISION_TIMEOUT_SECONDS", "20")
		want.GracePeriod = 20 * time.Second
		current := ask("REVISION_RESPONSE_START_TIMEOUT_SECONDS", "7")
		switch longest := ask("MAX_DURATION_SECONDS", "900"); {
		case current:
			want.Timeouts = proxy.Timeouts{Total: 20 * time.Second, ResponseStart: 7 * time.Second, Idle: 8 * time.Second}
		case longest:
			want.Timeouts = proxy.Timeouts{ResponseStart: 20 * time.Second, Total: 900 * time.Second}
		default:
			want.Timeouts = proxy.Timeouts{ResponseStart: 20 * time.Second}
		}
		ask("REVISION_IDLE_TIMEOUT_SECONDS", "8")
		ask("CONTAINER_CONCURRENCY", "5")
		want.ContainerConcurrency = 5
		want.HTTP2AutoDetection = ask("ENABLE_HTTP2_AUTO_DETECTION", "true")
		ask("ENABLE_HTTP_FULL_DUPLEX", "true")
		if ask("ENABLE_MULTI_CONTAINER_PROBES", "true") {
			ask("SERVING_READINESS_PROBE", `[{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1},{"grpc":{"port":9000,"service":"x"},"periodSeconds":10,"timeoutSeconds":2}]`)
			want.Probes = append(want.Probes, queueproxy.Probe{Kind: queueproxy.ProbeGRPC, Addr: "127.0.0.1:9000", Service: "x", Timeout: 2 * time.Second})
		}
		if ask("QUEUE_SERVING_TLS_PORT", "8443") {
			want.Addrs.TLS = ":8443"
		}
		if ask("QUEUE_PROXY_TLS_MIN_VERSION", "1.2") {
			want.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		log := observability.RequestLog{Enabled: true, Probes: true, Template: "{{.Request.Host}}"}
		if ask("OBSERVABILITY_CONFIG", `{"tracing":{"protocol":"grpc","endpoint":"http://c:4317","samplingRate":1},"runtime":{"profiling":"enabled"},`+
			`"requestMetrics":{"protocol":"prometheus"},"enableRequestLog":true,"enableProbeRequestLog":true,"requestLogTemplate":"{{.Request.Host}}"}`) {
			want.RequestMetrics = queueproxy.MetricsPrometheus
			wantObserved.RequestMetrics = observability.Exporter{Protocol: observability.Prometheus}
			wantObserved.Tracing = observability.Exporter{Protocol: observability.GRPC, Endpoint: "http://c:4317", SamplingRate: 1}
		} else {
			ask("SERVING_ENABLE_REQUEST_LOG", "true")
			ask("SERVING_ENABLE_PROBE_REQUEST_LOG", "true")
			ask("SERVING_REQUEST_LOG_TEMPLATE", "{{.Request.Host}}")
			ask("ENABLE_PROFILING", "true")
			ask("TRACING_CONFIG_BACKEND", "zipkin")
			ask("TRACING_CONFIG_ZIPKIN_ENDPOINT", "http://z:9411/api/v2/spans")
			wantObserved.Tracing = observability.Exporter{Protocol: observability.Zipkin, Endpoint: "http://z:9411/api/v2/spans", SamplingRate: 0.1, ParentBased: true}
		}
		want.Profiling, wantObserved.Profiling, wantObserved.RequestLog = true, true, log

		got, err := ConfigFromEnv(lookupIn(vars))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
		if o := observedFrom(&program.Environment{Lookup: lookupIn(vars)}); !reflect.DeepEqual(o, wantObserved) {
			t.Errorf("observed\ngot  %+v\nwant %+v", o, wantObserved)
		}
	})
}

// In Knative up to 1.6 REVISION_TIMEOUT_SECONDS bounds the first byte: a response that has begun may take longer, and a
// request without one is cut off. From 1.7 on it bounds the whole request.
func TestC1ClassicTimeoutIsTheFirstByte(t *testing.T) {
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			_, _ = io.WriteString(w, "begun ")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-time.After(3 * time.Second): // longer than the timeout
			_, _ = io.WriteString(w, "ended")
		case <-r.Context().Done():
		}
	}))
	eachRelease(t, func(t *testing.T, r release, vars map[string]string, _ queueproxy.Config, _ observed) {
		if !slices.Contains([]string{"1.2", "1.3", "1.6", "1.7", "1.24"}, r.knative) {
			return // as the previous release
		}
		t.Parallel()
		vars[knative.EnvRevisionTimeout] = "2"
		for _, own := range []string{knative.EnvUserPort, knative.EnvQueueServingPort, "SERVING_REQUEST_METRICS_BACKEND"} {
			delete(vars, own)
		}
		var changes []string
		for name, value := range vars {
			changes = append(changes, name, value)
		}
		for _, name := range []string{knative.EnvResponseStartTimeout, knative.EnvIdleTimeout} {
			if _, ok := vars[name]; !ok {
				changes = append(changes, name, "-")
			}
		}
		url := startMain(t, app, changes)
		_, current := vars[knative.EnvResponseStartTimeout]
		resp, err := http.Get(url + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if whole := string(body) == "begun ended" && err == nil; whole == current {
			t.Errorf("a stream: %q, %v", body, err)
		}
		late, err := http.Get(url + "/late")
		if err != nil {
			t.Fatal(err)
		}
		defer late.Body.Close()
		body, _ = io.ReadAll(late.Body)
		if late.StatusCode != http.StatusGatewayTimeout || !strings.Contains(string(body), "request timeout") {
			t.Errorf("a response that begins too late: %d %q", late.StatusCode, body)
		}
	})
}
