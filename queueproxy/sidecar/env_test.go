package sidecar

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/queueenv"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// environment has the variables that Knative's controller sets, with changes given as name, value; "-" removes a variable.
func environment(changes ...string) func(string) (string, bool) {
	vars := map[string]string{
		knative.EnvContainerConcurrency: "10", knative.EnvQueueServingPort: "8012", knative.EnvUserPort: "8080",
		knative.EnvRevisionTimeout: "300", knative.EnvResponseStartTimeout: "0", knative.EnvIdleTimeout: "0",
		knative.EnvLoggingConfig: "", knative.EnvLoggingLevel: "",
		knative.EnvServingNamespace: "default", knative.EnvServingConfiguration: "", knative.EnvServingRevision: "hello-00001",
		knative.EnvServingPod: "hello-00001-abc", knative.EnvServingPodIP: "10.0.0.7",
	}
	for i := 0; i < len(changes); i += 2 {
		if vars[changes[i]] = changes[i+1]; changes[i+1] == "-" {
			delete(vars, changes[i])
		}
	}
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func TestConfigFromEnvOfKnative(t *testing.T) {
	c, err := ConfigFromEnv(environment())
	if err != nil {
		t.Fatal(err)
	}
	want := queueproxy.Config{
		Identity: queueproxy.Identity{Namespace: "default", Revision: "hello-00001", Pod: "hello-00001-abc", PodIP: "10.0.0.7"},
		Addrs:    queueproxy.Addrs{Serve: ":8012", Admin: ":8022", Stats: ":9090", Metrics: ":9091", Profiling: ":8008", TLS: ":8112"},
		UserAddr: "127.0.0.1:8080", ContainerConcurrency: 10,
		Timeouts: proxy.Timeouts{Total: 300 * time.Second}, GracePeriod: 300 * time.Second,
		CertsDir: "/var/lib/knative/certs", TLS: &tls.Config{MinVersion: tls.VersionTLS13},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigFromEnvReads(t *testing.T) {
	for _, test := range []struct {
		name    string
		changes []string
		got     func(queueproxy.Config) any
		want    any
	}{
		{"timeouts", []string{knative.EnvResponseStartTimeout, "7", knative.EnvIdleTimeout, "8"}, func(c queueproxy.Config) any { return c.Timeouts }, proxy.Timeouts{Total: 300 * time.Second, ResponseStart: 7 * time.Second, Idle: 8 * time.Second}},
		{"classic timeouts", []string{knative.EnvResponseStartTimeout, "-", knative.EnvMaxDuration, "900"}, func(c queueproxy.Config) any { return c.Timeouts }, proxy.Timeouts{Total: 900 * time.Second, ResponseStart: 300 * time.Second}},
		{"classic timeouts without end", []string{knative.EnvResponseStartTimeout, "-", knative.EnvMaxDuration, "0"}, func(c queueproxy.Config) any { return c.Timeouts }, proxy.Timeouts{ResponseStart: 300 * time.Second}},
		{"classic timeouts without a longest", []string{knative.EnvResponseStartTimeout, "-"}, func(c queueproxy.Config) any { return c.Timeouts }, proxy.Timeouts{ResponseStart: 300 * time.Second}},
		{"empty is set", []string{knative.EnvResponseStartTimeout, ""}, func(c queueproxy.Config) any { return c.Timeouts }, proxy.Timeouts{Total: 300 * time.Second}},
		{"current beside classic", []string{knative.EnvMaxDuration, "900", knative.EnvResponseStartTimeout, "7"}, func(c queueproxy.Config) any { return c.Timeouts }, proxy.Timeouts{Total: 300 * time.Second, ResponseStart: 7 * time.Second}},
		{"no limit", []string{knative.EnvContainerConcurrency, "0"}, func(c queueproxy.Config) any { return c.ContainerConcurrency }, 0},
		{"bind", []string{knative.EnvBindAddress, "127.0.0.1", knative.EnvAdminPort, "1", knative.EnvStatsPort, "2", knative.EnvMetricsPort, "0"}, func(c queueproxy.Config) any { return c.Addrs }, queueproxy.Addrs{Serve: "127.0.0.1:8012", Admin: "127.0.0.1:1", Stats: "127.0.0.1:2", Metrics: queueproxy.Off, Profiling: "127.0.0.1:8008", TLS: "127.0.0.1:8112"}},
		{"bind IPv6", []string{knative.EnvBindAddress, "::1"}, func(c queueproxy.Config) any { return c.Addrs.Serve }, "[::1]:8012"},
		{"user host", []string{knative.EnvUserHost, "::1"}, func(c queueproxy.Config) any { return c.UserAddr }, "[::1]:8080"},
		{"queue", []string{knative.EnvQueueDepth, "5", knative.EnvQueueDeadline, "2s"}, func(c queueproxy.Config) any { return [2]any{c.QueueDepth, c.QueueDeadline} }, [2]any{5, 2 * time.Second}},
		{"drain", []string{knative.EnvDrainQuiet, "3s", knative.EnvDrainIdle, "1s"}, func(c queueproxy.Config) any { return [2]any{c.DrainQuiet, c.DrainIdle} }, [2]any{3 * time.Second, time.Second}},
		{"trust", []string{knative.EnvTrustedPeers, "10.1.2.3/8, fd00::/8"}, func(c queueproxy.Config) any { return c.TrustedPeers }, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}},
		{"flags", []string{knative.EnvFullDuplex, "true", knative.EnvHTTP2AutoDetection, "1"}, func(c queueproxy.Config) any { return c.HTTP2AutoDetection }, true},
		{"metrics", []string{knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"prometheus"},"unknown":1}`}, func(c queueproxy.Config) any { return [2]any{c.RequestMetrics, c.Addrs.Metrics} }, [2]any{queueproxy.MetricsPrometheus, ":9091"}},
		{"metrics endpoint", []string{knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"prometheus","endpoint":":7777"}}`}, func(c queueproxy.Config) any { return c.Addrs.Metrics }, ":7777"},
		{"metrics port wins", []string{knative.EnvMetricsPort, "8", knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"prometheus","endpoint":":7777"}}`}, func(c queueproxy.Config) any { return c.Addrs.Metrics }, ":8"},
		{"metrics of others", []string{knative.EnvObservabilityConfig, `{"metrics":{"protocol":"prometheus"}}`}, func(c queueproxy.Config) any { return c.RequestMetrics }, queueproxy.MetricsOff},
		{"metrics pushed", []string{knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"grpc","endpoint":"http://c:4317"}}`}, func(c queueproxy.Config) any { return c.RequestMetrics }, queueproxy.MetricsCollected},
		{"current metrics beside classic", []string{knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"prometheus"}}`, knative.EnvRequestMetricsBackend, "prometheus"}, func(c queueproxy.Config) any { return c.RequestMetrics }, queueproxy.MetricsPrometheus},
		{"name of the host", []string{knative.EnvHostname, "h", knative.EnvPodName, ""}, func(c queueproxy.Config) any { return c.Identity.Host }, "h"},
		{"name of the pod", []string{knative.EnvHostname, "h", knative.EnvPodName, "p"}, func(c queueproxy.Config) any { return c.Identity.Host }, "p"},
		{"classic metrics", []string{knative.EnvRequestMetricsBackend, "prometheus"}, func(c queueproxy.Config) any { return c.RequestMetrics }, queueproxy.MetricsClassic},
		{"profiling", []string{knative.EnvObservabilityConfig, `{"runtime":{"profiling":"enabled"}}`, knative.EnvProfilingPort, "9"}, func(c queueproxy.Config) any { return [2]any{c.Profiling, c.Addrs.Profiling} }, [2]any{true, ":9"}},
		{"classic profiling", []string{knative.EnvEnableProfiling, "true"}, func(c queueproxy.Config) any { return c.Profiling }, true},
		{"probe", []string{knative.EnvReadinessProbe, `{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1}`}, func(c queueproxy.Config) any { return c.Probes }, []queueproxy.Probe{{Kind: queueproxy.ProbeTCP, Addr: "127.0.0.1:8080", Aggressive: true, SuccessThreshold: 1}}},
		{"probes", []string{knative.EnvMultiContainerProbes, "true", knative.EnvReadinessProbe, `[null,{}]`}, func(c queueproxy.Config) any { return c.Probes }, []queueproxy.Probe{{Aggressive: true}}},
		{"tls", []string{knative.EnvQueueServingTLSPort, "8112", knative.EnvTLSMinVersion, "1.2", knative.EnvTLSMaxVersion, "1.3", knative.EnvTLSCipherSuites, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", knative.EnvTLSCurvePreferences, "X25519,CurveP256"}, func(c queueproxy.Config) any { return [2]any{c.Addrs.TLS, c.TLS} }, [2]any{":8112", &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}}}},
		{"certificate", []string{knative.EnvQueueServingTLSPort, "8443", knative.EnvCertsDir, "/certs"}, func(c queueproxy.Config) any { return [2]any{c.Addrs.TLS, c.CertsDir} }, [2]any{":8443", "/certs"}},
		{"full status", []string{knative.EnvFullStatus, "429"}, func(c queueproxy.Config) any { return c.FullStatus }, 429},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := ConfigFromEnv(environment(test.changes...))
			if err != nil {
				t.Fatal(err)
			}
			if got := test.got(c); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestConfigFromEnvRefuses(t *testing.T) {
	type refusal struct{ name, value string }
	var tests []refusal
	for _, name := range []string{
		knative.EnvContainerConcurrency, knative.EnvQueueServingPort, knative.EnvUserPort, knative.EnvRevisionTimeout,
		knative.EnvServingNamespace, knative.EnvServingConfiguration, knative.EnvServingRevision, knative.EnvServingPod,
		knative.EnvServingPodIP, knative.EnvLoggingConfig, knative.EnvLoggingLevel,
	} {
		tests = append(tests, refusal{name, "-"})
		switch name {
		case knative.EnvServingConfiguration, knative.EnvLoggingConfig, knative.EnvLoggingLevel: // may be empty
		default:
			tests = append(tests, refusal{name, ""})
		}
	}
	for name, values := range map[string][]string{
		knative.EnvContainerConcurrency: {"-1", "many", "1.5", "99999999999"},
		knative.EnvQueueServingPort:     {"0", "65536", "http", "-1", " 8012"},
		knative.EnvUserPort:             {"0", "65536", "http"},
		knative.EnvRevisionTimeout:      {"5s", "-1", "1e3"},
		knative.EnvServingPodIP:         {"localhost", "10.0.0"},
		knative.EnvResponseStartTimeout: {"x"},
		knative.EnvIdleTimeout:          {"-3"},
		knative.EnvMaxDuration:          {"x"},
		knative.EnvFullDuplex:           {"yes"},
		knative.EnvHTTP2AutoDetection:   {"2"},
		knative.EnvMultiContainerProbes: {"maybe"},
		knative.EnvReadinessProbe:       {"{", "[]", `{"httpGet":{"port":"http"}}`, `{"tcpSocket":{"port":70000}}`, `{"httpGet":{"port":1,"scheme":"FTP"}}`, `{"timeoutSeconds":-1}`},
		knative.EnvProfilingPort:        {"x"},
		knative.EnvQueueServingTLSPort:  {"0", "x"},
		knative.EnvTLSMinVersion:        {"1.1", "TLS13"},
		knative.EnvTLSMaxVersion:        {"2"},
		knative.EnvTLSCipherSuites:      {"ROT13"},
		knative.EnvTLSCurvePreferences:  {"X25519,flat"},
		knative.EnvBindAddress:          {"127.0.0.1:80", "[::1]", "a b"},
		knative.EnvAdminPort:            {"70000", "x"},
		knative.EnvStatsPort:            {"-1"},
		knative.EnvMetricsPort:          {"65536"},
		knative.EnvQueueDepth:           {"-1", "x"},
		knative.EnvFullStatus:           {"500", "x"},
		knative.EnvQueueDeadline:        {"5", "-1s", "0s"},
		knative.EnvTrustedPeers:         {"10.0.0.1", "all"},
		knative.EnvDrainQuiet:           {"5"},
		knative.EnvDrainIdle:            {"-5s"},
	} {
		for _, v := range values {
			tests = append(tests, refusal{name, v})
		}
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s=%q", test.name, test.value), func(t *testing.T) {
			err := Main(t.Context(), WithEnv(environment(test.name, test.value)), WithStderr(&bytes.Buffer{}))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.HasPrefix(lines[0], test.name) {
				t.Errorf("the error is not one line that starts with the name:\n%v", err)
			}
		})
	}
}

// The settings of telemetry come from a ConfigMap of the whole cluster. One that is outdated, or newer than this release, is
// a warning, and the pod serves without it.
func TestC5UnknownTelemetryIsAWarning(t *testing.T) {
	plain, err := ConfigFromEnv(environment())
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][]string{
		knative.EnvRequestMetricsBackend: {"stackdriver", "opencensus", "carbon", "%"},
		knative.EnvTracingBackend:        {"stackdriver", "jaeger"},
		knative.EnvEnableProfiling:       {"x"},
		knative.EnvEnableRequestLog:      {"yes"},
		knative.EnvEnableProbeRequestLog: {"x"},
		knative.EnvObservabilityConfig: {
			"{", "[]", `{"requestMetrics":{"protocol":"carrier pigeon"}}`, `{"requestMetrics":{"protocol":"prometheus","endpoint":"x"}}`,
			`{"requestMetrics":{"protocol":"grpc","endpoint":"unix://x"}}`, `{"tracing":{"protocol":"x"}}`, `{"tracing":{"protocol":"stdout","samplingRate":3}}`,
			`{"runtime":{"profiling":"sometimes"}}`, `{"requestMetrics":1}`, `{"enableRequestLog":"yes"}`,
		},
	} {
		for _, value := range values {
			c, err := ConfigFromEnv(environment(name, value))
			if err != nil {
				t.Errorf("%s=%s: %v", name, value, err)
				continue
			}
			if len(c.Ignored) != 1 || !strings.HasPrefix(c.Ignored[0], name) || !strings.HasSuffix(c.Ignored[0], "; this setting is ignored") {
				t.Errorf("%s=%s: the warnings are %q", name, value, c.Ignored)
			}
			if c.Ignored = nil; !reflect.DeepEqual(c, plain) {
				t.Errorf("%s=%s: %+v", name, value, c)
			}
		}
	}
	zipkin := environment(knative.EnvTracingBackend, "zipkin", knative.EnvTracingSampleRate, "much", knative.EnvTracingDebug, "x")
	if c, err := ConfigFromEnv(zipkin); err != nil || len(c.Ignored) != 3 {
		t.Errorf("%v, %q", err, c.Ignored)
	}
	// Valid settings beside an invalid one take effect.
	c, err := ConfigFromEnv(environment(knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"prometheus"},"tracing":{"protocol":"x"},"runtime":{"profiling":"enabled"}}`))
	if err != nil || c.RequestMetrics != queueproxy.MetricsPrometheus || !c.Profiling || len(c.Ignored) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A pod serves without metrics and profiles whose ports are taken, and without an exporter whose files are missing.
func TestC5ExportersThatCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	const collector = `"protocol":"http/protobuf","endpoint":"https://127.0.0.1:1"`
	for name, test := range map[string]struct {
		env  []string
		want []string
	}{
		"a port that is taken": {[]string{knative.EnvMetricsPort, port, knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"prometheus"}}`}, []string{"served without metrics"}},
		"a host that is not here": {
			[]string{knative.EnvObservabilityConfig, `{"requestMetrics":{"protocol":"prometheus","endpoint":"192.0.2.1:9091"}}`},
			[]string{"served without metrics"},
		},
		"profiles": {[]string{knative.EnvProfilingPort, port, knative.EnvEnableProfiling, "true"}, []string{"served without profiling"}},
		"files": {
			[]string{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/none/such/file", knative.EnvObservabilityConfig, `{"requestMetrics":{` + collector + `},"tracing":{` + collector + `,"samplingRate":1}}`},
			[]string{"served without request metrics", "served without traces"},
		},
		"stackdriver": {[]string{knative.EnvRequestMetricsBackend, "stackdriver"}, []string{knative.EnvRequestMetricsBackend + ` is "stackdriver", expected none or prometheus; this setting is ignored`}},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			startMain(t, freeAddr(t), test.env, WithLogger(zap.New(core)), WithStdout(io.Discard))
			for _, line := range test.want {
				if logs.FilterMessage(line).Len() != 1 {
					t.Errorf("not logged: %s in %v", line, logs.All())
				}
			}
		})
	}
}

func TestConfigFromEnvTellsEverythingAtOnce(t *testing.T) {
	_, err := ConfigFromEnv(environment(knative.EnvUserPort, "x", knative.EnvServingPod, "-", knative.EnvIdleTimeout, "y"))
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("%d lines, want 3:\n%v", n, err)
	}
}

func TestConfigFromEnvKeepsSecrets(t *testing.T) {
	const secret = "hunter2"
	for _, test := range [][2]string{
		{knative.EnvReadinessProbe, `{"httpGet":{"port":1,"httpHeaders":[{"name":"Authorization","value":"` + secret + `"}],"scheme":"x"}}`},
		{knative.EnvReadinessProbe, `{"httpGet":{"httpHeaders":"` + secret + `"}}`},
		{knative.EnvReadinessProbe, `{"httpGet":{"port":1,"httpHeaders":[{"name":"A b","value":"` + secret + `"}]},` + secret},
		{knative.EnvObservabilityConfig, `{"tracing":{"endpoint":"ftp://u:` + secret + `@x","protocol":"grpc"}}`},
		{knative.EnvObservabilityConfig, `{"tracing":"` + secret + `"}`},
	} {
		c, err := ConfigFromEnv(environment(test[0], test[1]))
		if len(c.Ignored) > 0 {
			err = errors.New(strings.Join(c.Ignored, "\n"))
		}
		if err == nil {
			t.Errorf("%s=%s was accepted", test[0], test[1])
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error contains a secret: %v", err)
		}
	}
}

// The help lists all variables that are read and no others.
func TestUsageIsComplete(t *testing.T) {
	read := map[string]bool{}
	collector := `{"protocol":"http/protobuf","endpoint":"http://c:4318"}`
	for _, inner := range []func(string) (string, bool){
		environment(),
		environment(knative.EnvObservabilityConfig, `{"requestMetrics":`+collector+`,"tracing":`+collector+`}`, "OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318"),
		environment(knative.EnvSystemNamespace, "knative-serving"),
		environment(knative.EnvTracingBackend, "zipkin", knative.EnvTracingZipkinEndpoint, "http://z/api/v2/spans"),
	} {
		lookup := func(name string) (string, bool) {
			read[strings.NewReplacer("OTLP_METRICS_", "OTLP_", "OTLP_TRACES_", "OTLP_").Replace(name)] = true
			return inner(name)
		}
		if _, err := ConfigFromEnv(lookup); err != nil {
			t.Fatal(err)
		}
		queueenv.Logger(&program.Environment{Lookup: lookup}, &bytes.Buffer{})
	}
	for _, v := range variables() {
		if !read[v.name] {
			t.Errorf("%s is listed and not read", v.name)
		}
		delete(read, v.name)
	}
	for name := range read {
		t.Errorf("%s is read and not listed", name)
	}
	var b bytes.Buffer
	if err := WriteUsage(&b); err != nil {
		t.Fatal(err)
	}
	contains(t, b.String(), knative.EnvDrainQuiet+" (default 30s)")
}
