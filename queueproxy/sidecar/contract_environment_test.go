package sidecar

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/contracttest"
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
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "each required variable that is missing or malformed is one line with its name", Shown: contracttest.By(TestConfigFromEnvRefuses, TestConfigFromEnvTellsEverythingAtOnce)},
		{Says: "what each variable does", Shown: contracttest.By(TestConfigFromEnvOfKnative, TestConfigFromEnvReads)},
		{Says: "all are listed by --help", Shown: contracttest.By(TestUsageIsComplete)},
		{Says: "the logging, TLS, service, configuration, probe and observability variables may be empty", Test: func(t *testing.T) {
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
		{Says: "variables that are for others may say anything", Test: func(t *testing.T) {
			for _, name := range []string{
				"HOST_IP", "SYSTEM_NAMESPACE", "ROOT_CA", "METRICS_COLLECTOR_ADDRESS", "METRICS_DOMAIN",
				"CONCURRENCY_STATE_ENDPOINT", "CONCURRENCY_STATE_TOKEN_PATH", "KUBERNETES_SERVICE_HOST",
			} {
				same(t, name, "", name, "%$!")
			}
		}},
		{Says: "QUEUE_SERVING_TLS_PORT is absent in 1.2", Test: func(t *testing.T) { same(t, knative.EnvQueueServingTLSPort, "-") }},
		{Says: "unknown keys of OBSERVABILITY_CONFIG are ignored, and its metrics are others'", Test: func(t *testing.T) {
			same(t, knative.EnvObservabilityConfig, `{"later":{"x":[1]},"metrics":{"protocol":"prometheus","endpoint":":1"},"requestMetrics":{"protocol":"none","y":1}}`)
		}},
		{Says: "the environment of each release of Knative, 1.2 to 1.24, is taken as it is", Shown: contracttest.By(TestReleases)},
		{Says: "a long or secret value is not repeated", Shown: contracttest.By(TestConfigFromEnvKeepsSecrets)},
		{Says: "the certificate is in /var/lib/knative/certs, TLS 1.3 unless the variables say otherwise", Test: func(t *testing.T) {
			if plain.CertsDir != "/var/lib/knative/certs" || plain.TLS.MinVersion != 0x0304 || !strings.HasSuffix(plain.Addrs.TLS, ":8112") {
				t.Errorf("%+v", plain)
			}
		}},
		{Says: "the ports are 8022, 9090, 9091, 8008 and 8112", Shown: contracttest.By(TestConfigFromEnvOfKnative)},
		{Says: "the classic meaning with MAX_DURATION_SECONDS", Shown: contracttest.By(TestConfigFromEnvReads)},
		{Says: "the grace period is timeoutSeconds, classic or not", Test: func(t *testing.T) {
			for _, row := range []struct {
				env  []string
				want time.Duration
			}{
				{nil, 300 * time.Second},
				{[]string{knative.EnvRevisionTimeout, "20"}, 20 * time.Second},
				{[]string{knative.EnvResponseStartTimeout, "-", knative.EnvRevisionTimeout, "20", knative.EnvMaxDuration, "0"}, 20 * time.Second},
				{[]string{knative.EnvResponseStartTimeout, "-", knative.EnvRevisionTimeout, "20", knative.EnvMaxDuration, "600"}, 20 * time.Second},
			} {
				if c, err := ConfigFromEnv(environment(row.env...)); err != nil || c.GracePeriod != row.want {
					t.Errorf("%v: %v, %v, want %v", row.env, c.GracePeriod, err, row.want)
				}
			}
		}},
		{Says: "the request log's template", Shown: contracttest.By(TestRequestLog)},
	})
}
