package sidecar

import (
	"cmp"
	"maps"
	"strconv"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/telemetry"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// observed is the configuration of metrics, traces and the request log.
type observed struct {
	observability.Config
	classicMetrics bool
}

// observedFrom reads OBSERVABILITY_CONFIG and, for settings that it lacks, the variables that Knative set up to 1.20. Mistakes
// in them don't keep a pod from serving: the variables come from a ConfigMap of the whole cluster, which may have settings
// of older or newer releases.
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

// into turns on metrics and profiles in c, the rest of the configuration that e has.
func (o *observed) into(c *queueproxy.Config, e *program.Environment) {
	c.RequestMetrics, c.Profiling = o.metrics(), o.Profiling
	if c.RequestMetrics == queueproxy.MetricsPrometheus && e.Value(knative.EnvMetricsPort) == "" {
		c.Addrs.Metrics = cmp.Or(o.RequestMetrics.Endpoint, c.Addrs.Metrics)
	}
	c.Ignored = e.Ignored
}

// metrics returns the value for queueproxy.Config.RequestMetrics.
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

// wraps reports whether requests are logged or traced.
func (o *observed) wraps() bool {
	return o.RequestLog.Enabled || o.Tracing.Protocol != observability.None
}

// turnOn turns on the configured parts of t. If one fails turnOn logs that, and the pod starts without it: the configuration
// is that of the whole cluster.
func (o *observed) turnOn(t *telemetry.Telemetry, log *zap.Logger) {
	without := func(what string, err error) {
		if err != nil {
			log.Error("served without "+what, zap.Error(err))
		}
	}
	without("a request log", t.SetRequestLog(o.RequestLog))
	without("request metrics", t.SetMetrics(o.RequestMetrics))
	without("traces", t.SetTraces(o.Tracing))
}

// resource is the resource of metrics and traces, in the names of OpenTelemetry and of Knative.
func (o *observed) resource(id queueproxy.Identity) map[string]string {
	host := cmp.Or(id.Host, id.Pod)
	r := maps.Clone(o.Resource)
	if r == nil {
		r = make(map[string]string)
	}
	for name, value := range map[string]string{
		"service.name":          cmp.Or(o.ServiceName, id.Service, id.Configuration, id.Revision),
		"service.instance.id":   host,
		"k8s.container.name":    "queue-proxy",
		"k8s.namespace.name":    id.Namespace,
		"k8s.pod.name":          host,
		"kn.service.name":       id.Service,
		"kn.configuration.name": id.Configuration,
		"kn.revision.name":      id.Revision,
	} {
		if value != "" {
			r[name] = value
		}
	}
	return r
}
