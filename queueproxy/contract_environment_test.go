package queueproxy

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/knative"
)

func TestContractEnvironment(t *testing.T) {
	plain, err := ConfigFromEnv(environment())
	if err != nil {
		t.Fatal(err)
	}
	same := func(t *testing.T, changes ...string) {
		t.Helper()
		got, err := ConfigFromEnv(environment(changes...))
		if err != nil {
			t.Errorf("%v: %v", changes, err)
		} else if !reflect.DeepEqual(got, plain) {
			t.Errorf("%v: %+v", changes, got)
		}
	}
	follow(t, []rule{
		{says: "each required variable that is missing or malformed is one line with its name", shown: by(TestConfigFromEnvRefuses, TestConfigFromEnvTellsEverythingAtOnce)},
		{says: "what each variable does", shown: by(TestConfigFromEnvOfKnative, TestConfigFromEnvReads, TestParseProbes)},
		{says: "all are listed by --help", shown: by(TestUsageIsComplete)},
		{says: "the logging, TLS, service, configuration, probe and observability variables may be empty", test: func(t *testing.T) {
			for _, name := range []string{
				knative.EnvLoggingConfig, knative.EnvLoggingLevel, knative.EnvServingService, knative.EnvServingConfiguration,
				knative.EnvReadinessProbe, knative.EnvQueueServingTLSPort, knative.EnvTLSMinVersion, knative.EnvTLSMaxVersion,
				knative.EnvTLSCipherSuites, knative.EnvTLSCurvePreferences, knative.EnvObservabilityConfig,
				knative.EnvResponseStartTimeout, knative.EnvIdleTimeout, knative.EnvMaxDuration, knative.EnvFullDuplex,
				knative.EnvHTTP2AutoDetection, knative.EnvMultiContainerProbes, knative.EnvRequestMetricsBackend,
				knative.EnvRequestLogTemplate, knative.EnvEnableRequestLog, knative.EnvEnableProbeRequestLog,
				knative.EnvEnableProfiling, knative.EnvTracingBackend,
			} {
				same(t, name, "")
			}
		}},
		{says: "variables that are for others may say anything", test: func(t *testing.T) {
			for _, name := range []string{
				"HOST_IP", "SYSTEM_NAMESPACE", "ROOT_CA", "METRICS_COLLECTOR_ADDRESS", "METRICS_DOMAIN",
				"CONCURRENCY_STATE_ENDPOINT", "CONCURRENCY_STATE_TOKEN_PATH", "KUBERNETES_SERVICE_HOST",
			} {
				same(t, name, "", name, "%$!")
			}
		}},
		{says: "QUEUE_SERVING_TLS_PORT is absent in 1.2", test: func(t *testing.T) { same(t, knative.EnvQueueServingTLSPort, "-") }},
		{says: "unknown keys of OBSERVABILITY_CONFIG are ignored, and its metrics are others'", test: func(t *testing.T) {
			same(t, knative.EnvObservabilityConfig, `{"later":{"x":[1]},"metrics":{"protocol":"prometheus","endpoint":":1"},"requestMetrics":{"protocol":"none","y":1}}`)
		}},
		{says: "the environment that Knative's controller makes is taken as it is", test: func(t *testing.T) {
			// Of a pod of Knative Serving 1.23 with its stock configuration.
			c, err := ConfigFromEnv(environment(
				"ENABLE_HTTP_FULL_DUPLEX", "false", "ENABLE_HTTP2_AUTO_DETECTION", "false", "ENABLE_MULTI_CONTAINER_PROBES", "false",
				"HOST_IP", "10.0.0.1", "ROOT_CA", "", "SYSTEM_NAMESPACE", "knative-serving",
				"QUEUE_SERVING_TLS_PORT", "8112", "SERVING_SERVICE", "hello", "SERVING_CONFIGURATION", "hello",
				"REVISION_RESPONSE_START_TIMEOUT_SECONDS", "0", "REVISION_IDLE_TIMEOUT_SECONDS", "0", "CONTAINER_CONCURRENCY", "0",
				"QUEUE_PROXY_TLS_MIN_VERSION", "", "QUEUE_PROXY_TLS_MAX_VERSION", "", "QUEUE_PROXY_TLS_CIPHER_SUITES", "", "QUEUE_PROXY_TLS_CURVE_PREFERENCES", "",
				"SERVING_READINESS_PROBE", `{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1}`,
				"SERVING_LOGGING_CONFIG", `{"level":"info","development":false,"outputPaths":["stdout"],"errorOutputPaths":["stderr"],"encoding":"json"}`,
				"OBSERVABILITY_CONFIG", `{"tracing":{"protocol":"none","endpoint":"","samplingRate":0},"metrics":{"protocol":"none","endpoint":"","exportInterval":0},"runtime":{"profiling":"disabled","exportInterval":0},"requestMetrics":{"protocol":"none","endpoint":"","exportInterval":0},"enableVarLogCollection":false,"enableProbeRequestLog":false,"enableRequestLog":false,"requestLogTemplate":"{{.Request.Method}}"}`,
			))
			if err != nil {
				t.Fatal(err)
			}
			if c.ContainerConcurrency != 0 || c.Identity.Service != "hello" || len(c.Probes) != 1 || c.RequestMetrics != MetricsOff || c.Profiling {
				t.Errorf("%+v", c)
			}
		}},
		{says: "and that of 1.2", test: func(t *testing.T) {
			c, err := ConfigFromEnv(environment(
				"SERVING_REQUEST_LOG_TEMPLATE", "", "SERVING_ENABLE_REQUEST_LOG", "false", "SERVING_ENABLE_PROBE_REQUEST_LOG", "false",
				"SERVING_REQUEST_METRICS_BACKEND", "prometheus", "METRICS_COLLECTOR_ADDRESS", "", "METRICS_DOMAIN", "knative.dev/internal/serving",
				"TRACING_CONFIG_BACKEND", "none", "TRACING_CONFIG_ZIPKIN_ENDPOINT", "", "TRACING_CONFIG_DEBUG", "false", "TRACING_CONFIG_SAMPLE_RATE", "0.1",
				"ENABLE_PROFILING", "true", "MAX_DURATION_SECONDS", "0", "CONCURRENCY_STATE_ENDPOINT", "", "CONCURRENCY_STATE_TOKEN_PATH", "/var/run/secrets/tokens/state-token",
			))
			if err != nil {
				t.Fatal(err)
			}
			if c.RequestMetrics != MetricsClassic || !c.Profiling || c.Timeouts.Total != 0 || c.Timeouts.ResponseStart == 0 {
				t.Errorf("%+v", c)
			}
		}},
		{says: "a long or secret value is not repeated", shown: by(TestConfigFromEnvKeepsSecrets)},
		{says: "the certificate is in /var/lib/knative/certs, TLS 1.3 unless the variables say otherwise", test: func(t *testing.T) {
			if plain.CertsDir != "/var/lib/knative/certs" || plain.TLS.MinVersion != 0x0304 || !strings.HasSuffix(plain.Addrs.TLS, ":8112") {
				t.Errorf("%+v", plain)
			}
		}},
		{says: "it is reloaded on change", shown: by(TestPeers22RotationLosesNothing)},
	})
}
