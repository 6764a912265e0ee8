package sidecar

import (
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
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
func observedFrom(e *env) (o observed) {
	var err error
	o.Config, err = observability.ParseJSON(e.value(knative.EnvObservabilityConfig), e.lookup)
	e.leaveOut(knative.EnvObservabilityConfig+": ", err)
	e.ignored = append(e.ignored, o.Ignored...)
	o.classic(e)
	return o
}

func (o *observed) classic(e *env) {
	o.Profiling = lenient(e, knative.EnvEnableProfiling, wantBool, strconv.ParseBool) || o.Profiling
	log := observability.RequestLog{
		Enabled:  lenient(e, knative.EnvEnableRequestLog, wantBool, strconv.ParseBool),
		Probes:   lenient(e, knative.EnvEnableProbeRequestLog, wantBool, strconv.ParseBool),
		Template: e.value(knative.EnvRequestLogTemplate),
	}
	if log.Enabled && !o.RequestLog.Enabled {
		o.RequestLog = log
	}
	tracing, err := observability.ClassicTracing(e.lookup)
	e.leaveOut("", err)
	if o.Tracing.Protocol == observability.None {
		o.Tracing = tracing
	}
	// opencensus is another that Knative knew: there are no exporters of its protocol any more.
	prometheus := lenient(e, knative.EnvRequestMetricsBackend, "none or prometheus", func(v string) (bool, error) {
		switch strings.ToLower(v) {
		case observability.Prometheus:
			return true, nil
		case "none":
			return false, nil
		}
		return false, errRange
	})
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

// leaveOut records the lines of an error about the parts of a variable that can be done without.
func (e *env) leaveOut(prefix string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		e.ignored = append(e.ignored, prefix+line+"; it is left out")
	}
}
