package queueproxy

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
)

// observed is what is to be measured, traced and logged.
type observed struct {
	observability.Config
	classicMetrics bool
	notDone        []string // what was asked for and is not done, for the log
}

// observedFrom reads OBSERVABILITY_CONFIG and, where that says nothing, what went before it up to Knative 1.18.
func observedFrom(e *env) (o observed) {
	var err error
	o.Config, err = observability.ParseJSON(e.value(knative.EnvObservabilityConfig), e.lookup)
	e.failEach(knative.EnvObservabilityConfig, err)
	o.classic(e)
	return o
}

func (o *observed) classic(e *env) {
	o.Profiling = optional(e, knative.EnvEnableProfiling, wantBool, strconv.ParseBool) || o.Profiling
	log := observability.RequestLog{
		Enabled:  optional(e, knative.EnvEnableRequestLog, wantBool, strconv.ParseBool),
		Probes:   optional(e, knative.EnvEnableProbeRequestLog, wantBool, strconv.ParseBool),
		Template: e.value(knative.EnvRequestLogTemplate),
	}
	if !o.RequestLog.Enabled {
		o.RequestLog = log
	}
	tracing, err := observability.ClassicTracing(e.lookup)
	if err != nil {
		e.bad = append(e.bad, err)
	}
	if o.Tracing.Protocol == observability.None {
		o.Tracing = tracing
	}
	optional(e, knative.EnvRequestMetricsBackend, "none, prometheus or opencensus", func(v string) (none struct{}, err error) {
		switch strings.ToLower(v) {
		case "none":
		case "prometheus":
			o.classicMetrics = o.RequestMetrics.Protocol == observability.None
		case "opencensus":
			o.notDone = append(o.notDone, "request metrics over OpenCensus's own protocol")
		default:
			return none, errRange
		}
		return none, nil
	})
}

// metrics is the kind of metrics that Config.RequestMetrics should be.
func (o *observed) metrics() RequestMetrics {
	switch {
	case o.classicMetrics:
		return MetricsClassic
	case o.RequestMetrics.Protocol == observability.Prometheus:
		return MetricsPrometheus
	case o.RequestMetrics.OTLP():
		return MetricsCollected
	}
	return MetricsOff
}

// failEach records the lines of an error about the parts of a variable.
func (e *env) failEach(name string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		e.bad = append(e.bad, errors.New(name+": "+line))
	}
}
