package observability

import (
	"time"

	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// The protocols of an Exporter.
const (
	None       = ""
	Prometheus = "prometheus"    // metrics only: served for a scraper
	HTTP       = "http/protobuf" // OTLP
	GRPC       = "grpc"          // OTLP
	Stdout     = "stdout"        // traces only: JSON lines
	Zipkin     = "zipkin"        // traces only, ClassicTracing only: JSON v2 by POST
)

// Config is the configuration of metrics, traces and the request log. With the zero value all of it is off.
type Config struct {
	// RequestMetrics is for the queue-proxy's metrics, Metrics for the activator's.
	RequestMetrics, Metrics, Tracing Exporter
	Profiling                        bool
	RequestLog                       RequestLog
	// ServiceName and Resource are OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES. They override and extend the attributes
	// that the process sets itself.
	ServiceName string
	Resource    map[string]string
	// Ignored has a line for each of OpenTelemetry's variables that can't be used.
	Ignored []string
}

// Exporter is the configuration of the export of metrics or of traces.
type Exporter struct {
	// Protocol is one of the constants. With None nothing is exported, and all other fields are zero.
	Protocol string
	// Endpoint is a URL for HTTP (path included), GRPC (without path) and Zipkin; for Prometheus the host:port to listen
	// on, or empty for the default.
	Endpoint string
	// Interval is the time between two exports of metrics. Zero means the default, 60 s in OpenTelemetry.
	Interval time.Duration
	// SamplingRate is the share of traces that are recorded, 0 to 1. With ParentBased it applies only to requests without a
	// trace context; for others the context has the decision.
	SamplingRate float64
	ParentBased  bool

	// These are for HTTP and GRPC, from OTEL_EXPORTER_OTLP_*.
	Headers map[string]string
	Gzip    bool
	Timeout time.Duration // of one attempt to export; zero: the default, 10 s in OpenTelemetry
	// CAFile, CertFile and KeyFile are PEM files for https. Empty means the system's roots and no client certificate.
	CAFile, CertFile, KeyFile string
}

// OTLP reports whether e is pushed to an OpenTelemetry collector.
func (e Exporter) OTLP() bool { return e.Protocol == HTTP || e.Protocol == GRPC }

// Collector returns the configuration for pushing metrics or spans of resource to the collector of e, whose protocol is OTLP.
func (e Exporter) Collector(resource map[string]string) otlp.Config {
	return otlp.Config{
		Protocol: e.Protocol, Endpoint: e.Endpoint, Headers: e.Headers, Gzip: e.Gzip, Timeout: e.Timeout, Interval: e.Interval,
		CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile, Resource: resource,
	}
}

// RequestLog is the configuration of the request log.
type RequestLog struct {
	Enabled  bool
	Probes   bool   // whether probes are logged too
	Template string // Go text/template; empty: the built-in one
}
