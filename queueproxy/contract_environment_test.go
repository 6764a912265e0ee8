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
		{says: "the environment of each release of Knative, 1.2 to 1.24, is taken as it is", shown: by(TestReleases)},
		{says: "a long or secret value is not repeated", shown: by(TestConfigFromEnvKeepsSecrets)},
		{says: "the certificate is in /var/lib/knative/certs, TLS 1.3 unless the variables say otherwise", test: func(t *testing.T) {
			if plain.CertsDir != "/var/lib/knative/certs" || plain.TLS.MinVersion != 0x0304 || !strings.HasSuffix(plain.Addrs.TLS, ":8112") {
				t.Errorf("%+v", plain)
			}
		}},
		{says: "it is reloaded on change", shown: by(TestPeers22RotationLosesNothing)},
	})
}
