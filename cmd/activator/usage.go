package main

import (
	"flag"
	"fmt"

	"github.com/sluice-proxy/sluice/internal/knative"
)

func usage(f *flag.FlagSet) {
	w := f.Output()
	fmt.Fprintln(w, "usage: activator [flags]                in a pod: revisions and pods from Kubernetes")
	fmt.Fprintln(w, "       activator -config FILE [flags]   from a file, with no Kubernetes at all")
	fmt.Fprintln(w)
	f.PrintDefaults()
	fmt.Fprintf(w, "\nEnvironment:\n")
	describe(f, [][2]string{
		{knative.EnvPodName, "how statistics and metrics name this activator; required on Kubernetes (with -config: activator)"},
		{knative.EnvPodIP, "what this activator is called among the peers of a revision; required on Kubernetes (with -config, empty: it takes all pods)"},
		{knative.EnvClusterDomain, "ends hosts that name a revision (from /etc/resolv.conf, else cluster.local)"},
		{knative.EnvMaxIdleConns, "idle connections to pods, in all (1000)"},
		{knative.EnvMaxIdleConnsPerHost, "and to each (100)"},
		{knative.EnvProbeTimeout, "how long one probe of a pod may take (300ms)"},
		{knative.EnvProbeFrequency, "the longest pause between two probes of a pod (200ms)"},
	})
	fmt.Fprintf(w, "\nEnvironment on Kubernetes:\n")
	describe(f, [][2]string{
		{knative.EnvSystemNamespace, "where Knative Serving's ConfigMaps, Secret and autoscaler are; required"},
		{envKubeconfig, "how to reach Kubernetes from outside a pod"},
		{envLoggingMap, "ConfigMap with zap-logger-config and loglevel.activator, heeded as it changes (" + loggingMap + ")"},
		{envObservability, "ConfigMap with metrics-*, tracing-*, runtime-profiling and logging.*, heeded as it changes (" + observabilityMap + "); of Knative up to 1.18 also " + keyOldMetrics + " and " + keyOldProfiling + ", and " + tracingMap},
		{knative.EnvProfilingPort, fmt.Sprintf("port for profiles (%d)", knative.PortProfiling)},
		{knative.PrefixActivator + "TLS_MIN_VERSION, _MAX_VERSION", "1.2 or 1.3, for both sides (1.3)"},
		{knative.PrefixActivator + "TLS_CIPHER_SUITES, _CURVE_PREFERENCES", "names between commas, for both sides (Go's choice)"},
		{"OTEL_EXPORTER_OTLP_*, OTEL_METRIC_EXPORT_INTERVAL, OTEL_TRACES_SAMPLER*", "override the ConfigMap, as OpenTelemetry says"},
		{"GOMEMLIMIT, GOGC, GOMAXPROCS", "Go's own; Knative's manifest sets GOGC=500, which lets the heap grow to six times what is live (docs/knative.md); without the last, as many CPUs as a limit or an affinity gives, else half of them"},
	})
	fmt.Fprintf(w, "\nConfigMap %s, read at the start:\n", networkMap)
	describe(f, [][2]string{
		{keySystemTLS, "enabled: port " + fmt.Sprint(knative.PortTLS) + ", and TLS to pods (" + keyOldTLS + ": true, its older name; up to Knative 1.11 with other certificates)"},
		{keyMeshMode, "auto, enabled or disabled"},
		{keyPassthrough, "true: pods are addressed by way of their private Service"},
	})
}

func describe(f *flag.FlagSet, lines [][2]string) {
	for _, line := range lines {
		fmt.Fprintf(f.Output(), "  %s\n    \t%s\n", line[0], line[1])
	}
}
