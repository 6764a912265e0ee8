package observability

import "time"

// The protocols of an Exporter.
const (
	None       = ""
	Prometheus = "prometheus"    // metrics only: served for a scraper
	HTTP       = "http/protobuf" // OTLP
	GRPC       = "grpc"          // OTLP
	Stdout     = "stdout"        // traces only: JSON lines
	Zipkin     = "zipkin"        // traces only, ClassicTracing only: JSON v2 by POST
)

// Config is what to measure, trace and log, and where it goes. The zero value is nothing at all.
type Config struct {
	// RequestMetrics are the queue-proxy's, Metrics the activator's.
	RequestMetrics, Metrics, Tracing Exporter
	Profiling                        bool
	RequestLog                       RequestLog
	// ServiceName and Resource are OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES: what to say of the process beside,
	// or in place of, what it knows of itself.
	ServiceName string
	Resource    map[string]string
	// Ignored has a line for each variable of OpenTelemetry's that can't be used.
	Ignored []string
}

// Exporter is where one kind of signal goes.
type Exporter struct {
	// Protocol is one of the constants; None: nowhere, and all else is zero.
	Protocol string
	// Endpoint is a URL for HTTP (path included), GRPC (without path) and Zipkin; for Prometheus the host:port to listen
	// on, or empty for the default.
	Endpoint string
	// Interval lies between two exports of metrics. Zero: the default, 60 s in OpenTelemetry.
	Interval time.Duration
	// SamplingRate is the share of traces that are recorded, 0 to 1. With ParentBased it decides only for requests that
	// come without a trace, and the others follow what they came with.
	SamplingRate float64
	ParentBased  bool

	// For HTTP and GRPC, from OTEL_EXPORTER_OTLP_*.
	Headers map[string]string
	Gzip    bool
	Timeout time.Duration // of one attempt to export; zero: the default, 10 s in OpenTelemetry
	// CAFile, CertFile and KeyFile are PEM files for https; empty: the system's roots, no client certificate.
	CAFile, CertFile, KeyFile string
}

// OTLP reports whether e is pushed to an OpenTelemetry collector.
func (e Exporter) OTLP() bool { return e.Protocol == HTTP || e.Protocol == GRPC }

// RequestLog is the log of requests.
type RequestLog struct {
	Enabled  bool
	Probes   bool   // probes too
	Template string // Go text/template; empty: the built-in one
}
