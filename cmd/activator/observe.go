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

// observed is what config-observability turns on and off while the program runs. Its set is called by one goroutine.
type observed struct {
	o         options
	env       func(string) (string, bool)
	log       *zap.Logger
	registry  *prometheus.Registry
	telemetry *telemetry.Telemetry

	profiling atomic.Bool
	release   knative.Release
	classic   atomic.Bool // Knative is one of those that gave metrics their older names
	activator atomic.Pointer[activator.Activator]
	current   map[string]string    // config-observability, as it was read last
	older     map[string]string    // config-tracing
	ignored   bool                 // what can't be used of the environment has been said
	parsed    observability.Config // what was understood of both last
}

func newObserved(o options, env func(string) (string, bool), stdout io.Writer, log *zap.Logger) (*observed, error) {
	c, _ := observability.ParseMap(nil, env, observability.Config{}) // of nothing there is no error
	resource := resourceOf(o, c)
	ob := &observed{o: o, env: env, log: log, registry: newRegistry()}
	ob.failed("metrics have no target_info: OTEL_RESOURCE_ATTRIBUTES", ob.registry.Register(metrics.NewTargetInfo(resource)))
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

// find is what is known of the revision that a request is for.
func (ob *observed) find(req *proxy.Request) (r activator.Revision) {
	if a := ob.activator.Load(); a != nil {
		r, _ = a.RevisionOf(req)
	}
	return r
}

// revision is for the request log. As in Knative there is no pod in it.
func (ob *observed) revision(req *proxy.Request) requestlog.Revision {
	r := ob.find(req)
	return requestlog.Revision{
		Name: r.ID.Name, Namespace: r.ID.Namespace, Service: r.Service, Configuration: r.Configuration,
	}
}

// attributes are for spans, by Knative's names.
func (ob *observed) attributes(req *proxy.Request) []otlp.Attribute {
	r := ob.find(req)
	return []otlp.Attribute{
		{Name: "kn.revision.name", Text: r.ID.Name},
		{Name: "k8s.namespace.name", Text: r.ID.Namespace},
		{Name: "kn.service.name", Text: r.Service},
		{Name: "kn.configuration.name", Text: r.Configuration},
	}
}

// set does what the ConfigMap says. What of it can't be used changes nothing.
func (ob *observed) set(data map[string]string) {
	current, classic, olderErr := fromOlder(data, ob.release)
	c, err := observability.ParseMap(current, ob.env, ob.parsed)
	ob.failed("what can't be used stays as it is", errors.Join(olderErr, err), zap.String("configmap", ob.o.observability))
	ob.parsed = c
	if !ob.ignored {
		ob.ignored = true
		for _, line := range c.Ignored {
			ob.log.Warn(line)
		}
	}
	c.RequestLog.Probes = false // Knative's switch is without effect here: they never get to its request log
	ob.failed("the request log stays as it is", ob.telemetry.SetRequestLog(c.RequestLog))
	ob.current = data
	ob.trace(c.Tracing)
	ob.profiling.Store(c.Profiling)
	if ob.classic.Swap(classic) != classic && ob.activator.Load() != nil {
		ob.log.Warn("the names of metrics change at the next start of the activator")
	}
	ob.failed("metrics are not exported", ob.telemetry.SetMetrics(c.Metrics))
}

// trace does what config-observability says of traces or, where that says nothing, config-tracing.
func (ob *observed) trace(e observability.Exporter) {
	const stay = "traces stay as they are"
	if _, said := ob.current[keyTracing]; !said {
		var err error
		if e, err = observability.ClassicTracingMap(ob.older); err != nil {
			ob.failed(stay, err, zap.String("configmap", tracingMap))
			return
		}
	}
	ob.failed(stay, ob.telemetry.SetTraces(e))
}

// setOlderTracing is set for config-tracing.
func (ob *observed) setOlderTracing(data map[string]string) {
	ob.older = data
	if _, said := ob.current[keyTracing]; !said {
		ob.trace(observability.Exporter{})
	}
}

// resourceOf says what the metrics and traces belong to, by OpenTelemetry's names; its variables win.
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
