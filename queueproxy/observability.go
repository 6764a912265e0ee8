package queueproxy

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// observability is what OBSERVABILITY_CONFIG and its classic forerunners ask for.
type observability struct {
	requestMetrics RequestMetrics
	metricsAddr    string // "": the default port
	profiling      bool
	unsupported    []string // what was asked for and is not done, for the log
}

// wireObservability is the JSON that Knative makes of config-observability. Unknown keys are ignored.
type wireObservability struct {
	RequestMetrics exporter
	Tracing        exporter
	Runtime        struct{ Profiling string }

	EnableRequestLog bool
}

type exporter struct {
	Protocol, Endpoint string
	SamplingRate       float64
}

func observabilityFrom(e *env) (o observability) {
	var w wireObservability
	if v := e.value(knative.EnvObservabilityConfig); v != "" {
		if err := json.Unmarshal([]byte(v), &w); err != nil {
			e.fail("%s is not the JSON of an observability configuration: %w", knative.EnvObservabilityConfig, describeJSON(err))
			return o
		}
	}
	o.classic(e)
	o.metrics(e, w.RequestMetrics)
	if !oneOf(w.Tracing.Protocol, "", "none", "grpc", "http/protobuf", "stdout") {
		e.failIn("tracing.protocol", "none, grpc, http/protobuf or stdout")
	} else if !oneOf(w.Tracing.Protocol, "", "none") {
		o.unsupported = append(o.unsupported, "tracing over "+w.Tracing.Protocol)
	}
	switch w.Runtime.Profiling {
	case "", "disabled":
	case "enabled":
		o.profiling = true
	default:
		e.failIn("runtime.profiling", "enabled or disabled")
	}
	if w.EnableRequestLog {
		o.unsupported = append(o.unsupported, "the request log")
	}
	return o
}

// metrics reads where request metrics go; a protocol beside the classic backend wins.
func (o *observability) metrics(e *env, x exporter) {
	switch x.Protocol {
	case "", "none":
	case "prometheus":
		o.requestMetrics = MetricsPrometheus
		if x.Endpoint == "" {
			break
		}
		if err := checkAddr(x.Endpoint, false); err != nil {
			e.failIn("requestMetrics.endpoint", "host:port to listen on")
		}
		o.metricsAddr = x.Endpoint
	case "grpc", "http/protobuf":
		o.unsupported = append(o.unsupported, "request metrics over "+x.Protocol)
	default:
		e.failIn("requestMetrics.protocol", "none, prometheus, http/protobuf or grpc")
	}
}

// classic reads the variables in use up to Knative 1.18.
func (o *observability) classic(e *env) {
	o.profiling = optional(e, knative.EnvEnableProfiling, wantBool, strconv.ParseBool)
	backend := e.value(knative.EnvRequestMetricsBackend)
	switch strings.ToLower(backend) {
	case "", "none":
	case "prometheus":
		o.requestMetrics = MetricsClassic
	case "opencensus":
		o.unsupported = append(o.unsupported, "request metrics over OpenCensus")
	default:
		optional(e, knative.EnvRequestMetricsBackend, "none, prometheus or opencensus", func(string) (int, error) { return 0, errRange })
	}
	for _, name := range []string{knative.EnvEnableRequestLog, knative.EnvEnableProbeRequestLog} {
		if optional(e, name, wantBool, strconv.ParseBool) {
			o.unsupported = append(o.unsupported, "the request log")
		}
	}
}

func (e *env) failIn(field, want string) {
	e.fail("%s has a wrong %s, expected %s", knative.EnvObservabilityConfig, field, want)
}

func oneOf(v string, of ...string) bool { return slices.Contains(of, v) }
