package sidecar

import (
	"fmt"
	"io"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/limits"
)

// variable describes a variable of the environment.
type variable struct{ name, fallback, meaning string }

const (
	needed = "required"
	ofOTLP = "OTEL_EXPORTER_OTLP_"
)

// variables lists the variables that Main reads, in the order of the contract.
func variables() []variable {
	all := contract()
	l := limits.OfProcess().Behind()
	for _, s := range l.All() {
		all = append(all, variable{s.Variable(), s.Value.String(), s.Text()})
	}
	return all
}

func contract() []variable {
	return []variable{
		{knative.EnvContainerConcurrency, needed, "requests that the app gets at once; 0: no limit"},
		{knative.EnvQueueServingPort, needed, "port of requests and probes"},
		{knative.EnvUserPort, needed, "port of the app"},
		{knative.EnvRevisionTimeout, needed, "seconds for a whole request, and the pod's grace period; 0: no bound, 300 for a drain; without " + knative.EnvResponseStartTimeout + " it bounds the first byte, as in Knative up to 1.6"},
		{knative.EnvLoggingConfig, needed, "zap configuration, JSON; settings that are missing, or all if it can't be used, have Knative's defaults: JSON lines on stderr"},
		{knative.EnvLoggingLevel, needed, "debug, info, warn or error; any other value: the level of the configuration, else info"},
		{knative.EnvServingNamespace, needed, "namespace of the revision"},
		{knative.EnvServingConfiguration, needed, "name of the configuration; may be empty"},
		{knative.EnvServingRevision, needed, "name of the revision"},
		{knative.EnvServingPod, needed, "name of the pod"},
		{knative.EnvServingPodIP, needed, "IP address of the pod"},
		{knative.EnvServingService, "", "name of the service"},
		{knative.EnvResponseStartTimeout, "0", "seconds until the first byte of a response; 0: no bound; Knative sets it from 1.7 on"},
		{knative.EnvIdleTimeout, "0", "seconds without a byte in either direction; 0: no bound"},
		{knative.EnvMaxDuration, "", "classic, without " + knative.EnvResponseStartTimeout + ": seconds for a whole request; 0: no bound"},
		{knative.EnvReadinessProbe, "", "readiness probe of the app, JSON of a Kubernetes probe; empty: always ready"},
		{knative.EnvMultiContainerProbes, "false", "whether the probe is a list of probes"},
		{knative.EnvHTTP2AutoDetection, "false", "whether HTTP probes try HTTP/2 first"},
		{knative.EnvFullDuplex, "false", "checked but not used: an HTTP/1.1 app may always respond while it still reads the request"},
		{knative.EnvObservabilityConfig, "", "request metrics, traces, request log and profiling, JSON of Knative's config-observability"},
		{knative.EnvRequestMetricsBackend, "none", "classic: none or prometheus"},
		{knative.EnvEnableRequestLog, "false", "classic: whether requests are logged to stdout"},
		{knative.EnvEnableProbeRequestLog, "false", "classic: whether probes are logged too"},
		{knative.EnvRequestLogTemplate, "", "classic: Go template of a line; empty: the built-in one, JSON"},
		{knative.EnvTracingBackend, "none", "classic: none or zipkin"},
		{knative.EnvTracingZipkinEndpoint, "", "classic: URL to which spans are posted"},
		{knative.EnvTracingSampleRate, "0.1", "classic: share of requests that are traced"},
		{knative.EnvTracingDebug, "false", "classic: whether all requests are traced"},
		{knative.EnvEnableProfiling, "false", "classic: whether profiles are served"},
		{knative.EnvPodName, "", "name of the pod in metrics and traces; empty: HOSTNAME"},
		{knative.EnvHostname, "", "default of " + knative.EnvPodName + "; empty: " + knative.EnvServingPod},
		{knative.EnvProfilingPort, "8008", "port of profiles, if they are on; 0: none"},
		{knative.EnvQueueServingTLSPort, "8112", "port of requests over TLS, if there is a certificate"},
		{knative.EnvCertsDir, knative.CertsDir, "directory of " + knative.CertFile + " and " + knative.KeyFile + "; read again when they change"},
		{knative.EnvTLSMinVersion, "1.3", "lowest version of TLS: 1.2 or 1.3"},
		{knative.EnvTLSMaxVersion, "", "highest version; empty: Go's highest"},
		{knative.EnvTLSCipherSuites, "", "names of cipher suites of TLS 1.2, between commas; empty: Go's choice"},
		{knative.EnvTLSCurvePreferences, "", "names of curves such as X25519, between commas; empty: Go's choice"},
		{knative.EnvBindAddress, "", "host or IP address that all ports listen on; empty: all"},
		{knative.EnvAdminPort, "8022", "port of " + knative.AdminDrainPath + "; 0: none"},
		{knative.EnvStatsPort, "9090", "port of the autoscaler's /metrics; 0: none"},
		{knative.EnvMetricsPort, "9091", "port of Prometheus' /metrics, if request metrics are on; 0: none"},
		{knative.EnvUserHost, "127.0.0.1", "host or IP address of the app"},
		{knative.EnvQueueDepth, "", "requests that may wait; empty or 0: ten times " + knative.EnvContainerConcurrency},
		{knative.EnvFullStatus, "503", "status when the queue is full: 503 or 429"},
		{knative.EnvQueueDeadline, "", "how long a request may wait, which does not count against its timeout; empty: as long as the timeout"},
		{knative.EnvTrustedPeers, "", "CIDRs of the peers whose internal headers are accepted; empty: all"},
		{knative.EnvAnnounceTo, "", "host:port of the activators to which a new pod announces its address, or off; empty: those in " + knative.EnvSystemNamespace},
		{knative.EnvAnnounceToken, "", "file of the token that proves the pod's identity to them; empty: " + knative.TokenDir + "/" + knative.AudienceSluice + ", if it exists"},
		{knative.EnvSystemNamespace, "", "namespace of the activators"},
		{knative.EnvClusterDomain, "", "domain of the cluster; empty: from /etc/resolv.conf"},
		{knative.EnvDrainQuiet, "30s", "time without a request after which a drain closes the listeners"},
		{knative.EnvDrainIdle, "5s", "the same once no request is in flight and a probe has failed; at most 1s if no probe has ever come"},

		// OpenTelemetry's, for the protocols http/protobuf and grpc.
		{ofOTLP + "ENDPOINT", "", "URL of the collector, instead of the one in the configuration; this and the next seven also as " + ofOTLP + "METRICS_… and " + ofOTLP + "TRACES_…"},
		{ofOTLP + "INSECURE", "false", "whether connections to an endpoint without http:// or https:// have no TLS"},
		{ofOTLP + "HEADERS", "", "name=value,… header fields of requests to the collector"},
		{ofOTLP + "COMPRESSION", "none", "gzip or none"},
		{ofOTLP + "TIMEOUT", "10000", "timeout of an export in milliseconds"},
		{ofOTLP + "CERTIFICATE", "", "file of the root certificates for the collector; empty: the system's"},
		{ofOTLP + "CLIENT_CERTIFICATE", "", "file of the client certificate"},
		{ofOTLP + "CLIENT_KEY", "", "file of the client certificate's key"},
		{"OTEL_METRIC_EXPORT_INTERVAL", "60000", "milliseconds between exports of metrics"},
		{"OTEL_TRACES_SAMPLER", "", "always_on, always_off, traceidratio, or one of them after parentbased_"},
		{"OTEL_TRACES_SAMPLER_ARG", "", "share of requests that are traced, 0 to 1"},
		{"OTEL_SERVICE_NAME", "", "service.name of metrics and traces; empty: the service, configuration or revision"},
		{"OTEL_RESOURCE_ATTRIBUTES", "", "name=value,… resource attributes of metrics and traces"},
	}
}

// WriteUsage lists the variables that Main reads, with their defaults and meanings.
func WriteUsage(w io.Writer) error {
	for _, v := range variables() {
		state := v.fallback
		if state == "" {
			state = "empty"
		}
		if state != needed {
			state = "default " + state
		}
		if _, err := fmt.Fprintf(w, "  %s (%s)\n        %s\n", v.name, state, v.meaning); err != nil {
			return err
		}
	}
	return nil
}
