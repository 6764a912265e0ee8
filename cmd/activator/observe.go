package main

import (
	"errors"
	"io"
	"maps"
	"net"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/internal/telemetry"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
	"go.uber.org/zap"
)

// observed applies config-observability while the program runs. One goroutine calls set and setOlderTracing.
type observed struct {
	o         options
	env       func(string) (string, bool)
	log       *zap.Logger
	registry  *prometheus.Registry
	telemetry *telemetry.Telemetry

	profiling atomic.Bool
	release   knative.Release
	classic   atomic.Bool // metrics have their older names
	activator atomic.Pointer[activator.Activator]
	current   map[string]string    // config-observability
	older     map[string]string    // config-tracing
	ignored   bool                 // the warnings about the environment have been logged
	parsed    observability.Config // the settings that were applied last
}

func newObserved(o options, env func(string) (string, bool), stdout io.Writer, log *zap.Logger) (*observed, error) {
	c, _ := observability.ParseMap(nil, env, observability.Config{}) // an empty ConfigMap has no error
	resource := resourceOf(o, c)
	ob := &observed{o: o, env: env, log: log, registry: newRegistry()}
	ob.failed("OTEL_RESOURCE_ATTRIBUTES can't be used; metrics have no target_info", ob.registry.Register(metrics.NewTargetInfo(resource)))
	var err error
	ob.telemetry, err = telemetry.New(telemetry.Config{
		Span: "handle", Wait: "throttler_try", // Knative's names
		Resource:   resource,
		Attributes: ob.attributes,
		Revision:   ob.revision,
		Out:        stdout,
		Registry:   ob.registry,
		Page:       ob.page,
		Log:        log,
	})
	return ob, err
}

// page serves the metrics for Prometheus.
func (ob *observed) page(addr string) (io.Closer, error) {
	if addr == "" {
		addr = net.JoinHostPort(ob.o.bind, strconv.Itoa(knative.PortActivator))
	}
	return openAdmin("metrics", addr, metricsPage(ob.registry), ob.log)
}

// failed logs err, unless it is nil.
func (ob *observed) failed(what string, err error, fields ...zap.Field) {
	if err != nil {
		ob.log.WithOptions(zap.AddCallerSkip(1)).Error(what, append(fields, zap.Error(err))...)
	}
}

// find returns the revision that a request is for, or a zero value if it isn't known.
func (ob *observed) find(req *proxy.Request) (r activator.Revision) {
	if a := ob.activator.Load(); a != nil {
		r, _ = a.RevisionOf(req)
	}
	return r
}

// revision is the request log's. As in Knative it names no pod.
func (ob *observed) revision(req *proxy.Request) requestlog.Revision {
	r := ob.find(req)
	return requestlog.Revision{
		Name: r.ID.Name, Namespace: r.ID.Namespace, Service: r.Service, Configuration: r.Configuration,
	}
}

// attributes are those of spans, by Knative's names.
func (ob *observed) attributes(req *proxy.Request) []otlp.Attribute {
	r := ob.find(req)
	return []otlp.Attribute{
		{Name: "kn.revision.name", Text: r.ID.Name},
		{Name: "k8s.namespace.name", Text: r.ID.Namespace},
		{Name: "kn.service.name", Text: r.Service},
		{Name: "kn.configuration.name", Text: r.Configuration},
	}
}

// set applies config-observability. A setting that can't be used is logged, and keeps its previous value.
func (ob *observed) set(data map[string]string) {
	current, classic, olderErr := translateOlder(data, ob.release)
	c, err := observability.ParseMap(current, ob.env, ob.parsed)
	ob.failed("settings that can't be used keep their previous values", errors.Join(olderErr, err), zap.String("configmap", ob.o.observability))
	ob.parsed = c
	if !ob.ignored {
		ob.ignored = true
		for _, line := range c.Ignored {
			ob.log.Warn(line)
		}
	}
	c.RequestLog.Probes = false // Knative's activator logs no probes either, whatever the ConfigMap says
	ob.failed("the request log keeps its previous settings", ob.telemetry.SetRequestLog(c.RequestLog))
	ob.current = data
	ob.trace(c.Tracing)
	ob.profiling.Store(c.Profiling)
	if ob.classic.Swap(classic) != classic && ob.activator.Load() != nil {
		ob.log.Warn("the names of metrics change at the next start of the activator")
	}
	ob.failed("metrics are not exported", ob.telemetry.SetMetrics(c.Metrics))
}

// trace applies e, or config-tracing if config-observability does not configure traces.
func (ob *observed) trace(e observability.Exporter) {
	const stay = "traces keep their previous settings"
	if _, set := ob.current[keyTracing]; !set {
		var err error
		if e, err = observability.ClassicTracingMap(ob.older); err != nil {
			ob.failed(stay, err, zap.String("configmap", tracingMap))
			return
		}
	}
	ob.failed(stay, ob.telemetry.SetTraces(e))
}

// setOlderTracing applies config-tracing.
func (ob *observed) setOlderTracing(data map[string]string) {
	ob.older = data
	if _, set := ob.current[keyTracing]; !set {
		ob.trace(observability.Exporter{})
	}
}

// resourceOf is the resource of metrics and traces, by OpenTelemetry's names; OpenTelemetry's variables override it.
func resourceOf(o options, c observability.Config) map[string]string {
	r := map[string]string{
		"service.name": defaultActivator, "service.version": program.Version(),
		"k8s.namespace.name": o.namespace, "k8s.pod.name": o.podName,
	}
	maps.Copy(r, c.Resource)
	if c.ServiceName != "" {
		r["service.name"] = c.ServiceName
	}
	return r
}
