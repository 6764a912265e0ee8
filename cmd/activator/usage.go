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
		{knative.EnvPodName, "name of this activator in statistics and metrics; required on Kubernetes (with -config: activator)"},
		{knative.EnvPodIP, "address of this activator, by which it finds its share of a revision's pods; required on Kubernetes (with -config, empty: it uses all pods)"},
		{knative.EnvClusterDomain, "domain of the cluster, with which the host names of revisions end (from /etc/resolv.conf, else cluster.local)"},
		{knative.EnvMaxIdleConns, "maximum of idle connections to all pods together (1000)"},
		{knative.EnvMaxIdleConnsPerHost, "maximum of idle connections to one pod (100)"},
		{knative.EnvProbeTimeout, "timeout of one probe of a pod (300ms)"},
		{knative.EnvProbeFrequency, "the longest pause between two probes of a pod (200ms)"},
		{envCookieKey, "secret of at least 16 characters that signs the cookies of sluice.dev/affinity, the same for all activators; without it a restarted or another activator gives new cookies"},
	})
	fmt.Fprintf(w, "\nEnvironment on Kubernetes:\n")
	describe(f, [][2]string{
		{knative.EnvSystemNamespace, "namespace of Knative Serving's ConfigMaps, Secret and autoscaler; required"},
		{envKubeconfig, "files that describe how to connect to Kubernetes from outside a pod"},
		{envLoggingMap, "ConfigMap with zap-logger-config and loglevel.activator; changes take effect at once (" + loggingMap + ")"},
		{envObservability, "ConfigMap with metrics-*, tracing-*, runtime-profiling and logging.*; changes take effect at once (" + observabilityMap + "); for Knative up to 1.18 also " + keyOldMetrics + " and " + keyOldProfiling + ", and " + tracingMap},
		{knative.EnvProfilingPort, fmt.Sprintf("port for profiles (%d)", knative.PortProfiling)},
		{knative.PrefixActivator + "TLS_MIN_VERSION, _MAX_VERSION", "1.2 or 1.3, for both sides (1.3)"},
		{knative.PrefixActivator + "TLS_CIPHER_SUITES, _CURVE_PREFERENCES", "names between commas, for both sides (Go's defaults)"},
		{"OTEL_EXPORTER_OTLP_*, OTEL_METRIC_EXPORT_INTERVAL, OTEL_TRACES_SAMPLER*", "override the ConfigMap, as OpenTelemetry specifies"},
		{"GOMEMLIMIT, GOGC, GOMAXPROCS", "Go's own variables; Knative's manifest sets GOGC=500, which lets the heap grow to six times the live data (docs/knative.md); without GOMAXPROCS the program uses as many CPUs as a limit or an affinity allows, else half of the machine's"},
	})
	fmt.Fprintf(w, "\nConfigMap %s, read at the start:\n", networkMap)
	describe(f, [][2]string{
		{keySystemTLS, "enabled: port " + fmt.Sprint(knative.PortTLS) + " is open, and connections to pods use TLS (" + keyOldTLS + ": true is its older name; up to Knative 1.11 with other certificates)"},
		{keyMeshMode, "auto, enabled or disabled"},
		{keyPassthrough, "true: requests to pods go through their private Service"},
	})
}

func describe(f *flag.FlagSet, lines [][2]string) {
	for _, line := range lines {
		fmt.Fprintf(f.Output(), "  %s\n    \t%s\n", line[0], line[1])
	}
}
