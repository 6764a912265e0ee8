package sidecar

import (
	"strconv"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// observed is what is to be measured, traced and logged.
type observed struct {
	observability.Config
	classicMetrics bool
}

// observedFrom reads OBSERVABILITY_CONFIG and, where that says nothing, what went before it up to Knative 1.20. Nothing
// of it keeps a pod from serving: these variables come from a ConfigMap of the whole cluster, in which things are left
// over that were understood once, or will be.
func observedFrom(e *program.Environment) (o observed) {
	var err error
	o.Config, err = observability.ParseJSON(e.Value(knative.EnvObservabilityConfig), e.Lookup)
	e.LeaveOut(knative.EnvObservabilityConfig+": ", err)
	e.Ignored = append(e.Ignored, o.Ignored...)
	o.classic(e)
	return o
}

func (o *observed) classic(e *program.Environment) {
	o.Profiling = program.Lenient(e, knative.EnvEnableProfiling, program.WantBool, strconv.ParseBool) || o.Profiling
	log := observability.RequestLog{
		Enabled:  program.Lenient(e, knative.EnvEnableRequestLog, program.WantBool, strconv.ParseBool),
		Probes:   program.Lenient(e, knative.EnvEnableProbeRequestLog, program.WantBool, strconv.ParseBool),
		Template: e.Value(knative.EnvRequestLogTemplate),
	}
	if log.Enabled && !o.RequestLog.Enabled {
		o.RequestLog = log
	}
	tracing, err := observability.ClassicTracing(e.Lookup)
	e.LeaveOut("", err)
	if o.Tracing.Protocol == observability.None {
		o.Tracing = tracing
	}
	prometheus, err := observability.ClassicMetrics(knative.EnvRequestMetricsBackend, e.Value(knative.EnvRequestMetricsBackend))
	e.LeaveOut("", err)
	o.classicMetrics = prometheus && o.RequestMetrics.Protocol == observability.None
}

// metrics is the kind of metrics that queueproxy.Config.RequestMetrics should be.
func (o *observed) metrics() queueproxy.RequestMetrics {
	switch {
	case o.classicMetrics:
		return queueproxy.MetricsClassic
	case o.RequestMetrics.Protocol == observability.Prometheus:
		return queueproxy.MetricsPrometheus
	case o.RequestMetrics.OTLP():
		return queueproxy.MetricsCollected
	}
	return queueproxy.MetricsOff
}
