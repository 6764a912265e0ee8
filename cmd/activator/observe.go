package main

import (
	"context"
	"errors"
	"io"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
	"go.uber.org/zap"
)

// observed is what config-observability turns on and off while the program runs. Its set is called by one goroutine.
type observed struct {
	o        options
	env      func(string) (string, bool)
	log      *zap.Logger
	resource map[string]string
	registry *prometheus.Registry
	requests *requestlog.Log
	tracer   *tracing.Tracer

	profiling atomic.Bool
	release   knative.Release
	classic   atomic.Bool // Knative is one of those that gave metrics their older names
	activator atomic.Pointer[activator.Activator]
	current   map[string]string      // config-observability, as it was read last
	older     map[string]string      // config-tracing
	ignored   bool                   // what can't be used of the environment has been said
	parsed    observability.Config   // what was understood of both last
	metrics   observability.Exporter // as it was set last
	export    export                 // of metrics
}

func newObserved(o options, env func(string) (string, bool), stdout io.Writer, log *zap.Logger) (*observed, error) {
	c, _ := observability.ParseMap(nil, env, observability.Config{}) // of nothing there is no error
	ob := &observed{o: o, env: env, log: log, registry: newRegistry(), resource: resourceOf(o, c), export: none()}
	if err := ob.registry.Register(targetInfo(ob.resource)); err != nil {
		log.Error("metrics have no target_info: OTEL_RESOURCE_ATTRIBUTES", zap.Error(err))
	}
	var err error
	if ob.requests, err = requestlog.New(requestlog.Config{
		Out: stdout, Revision: ob.revision,
		Failed: func(err error) { log.Error("a line of the request log is not whole", zap.Error(err)) },
	}); err != nil {
		return nil, err
	}
	if err := metrics.RegisterRequestLog(ob.registry, ob.requests); err != nil {
		return nil, err
	}
	ob.tracer, err = tracing.New(tracing.Config{
		Span: "handle", Wait: "throttler_try", // Knative's names
		Resource: ob.resource, Attributes: ob.attributes, Out: stdout, Failed: program.Failing(log, "traces"),
	})
	return ob, err
}

// wrap puts what observes requests around the activator's policy.
func (ob *observed) wrap(p proxy.Policy) proxy.Policy { return ob.tracer.Wrap(ob.requests.Wrap(p)) }

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
	if err := errors.Join(olderErr, err); err != nil {
		ob.log.Error("what can't be used stays as it is", zap.String("configmap", ob.o.observability), zap.Error(err))
	}
	ob.parsed = c
	if !ob.ignored {
		ob.ignored = true
		for _, line := range c.Ignored {
			ob.log.Warn(line)
		}
	}
	// Knative's switch for probes is without effect here: they never get to its request log.
	if err := ob.requests.Set(c.RequestLog.Template, c.RequestLog.Enabled, false); err != nil {
		ob.log.Error("the request log stays as it is", zap.Error(err))
	}
	ob.current = data
	ob.trace(c.Tracing)
	ob.profiling.Store(c.Profiling)
	if ob.classic.Swap(classic) != classic && ob.activator.Load() != nil {
		ob.log.Warn("the names of metrics change at the next start of the activator")
	}
	if !reflect.DeepEqual(c.Metrics, ob.metrics) {
		ob.export.close()                     // the next one may want its port
		ob.metrics = observability.Exporter{} // what can't be started now may be the next time
		var started bool
		if ob.export, started = ob.startExport(c.Metrics); started {
			ob.metrics = c.Metrics
		}
	}
}

// trace does what config-observability says of traces or, where that says nothing, config-tracing.
func (ob *observed) trace(e observability.Exporter) {
	if _, said := ob.current[keyTracing]; !said {
		var err error
		if e, err = observability.ClassicTracingMap(ob.older); err != nil {
			ob.log.Error("traces stay as they are", zap.String("configmap", tracingMap), zap.Error(err))
			return
		}
	}
	if err := ob.tracer.Set(e); err != nil {
		ob.log.Error("traces stay as they are", zap.Error(err))
	}
}

// setOlderTracing is set for config-tracing.
func (ob *observed) setOlderTracing(data map[string]string) {
	ob.older = data
	if _, said := ob.current[keyTracing]; !said {
		ob.trace(observability.Exporter{})
	}
}

// close ends what is left of it when set isn't called any more, and sends and writes what is buffered, for a while.
func (ob *observed) close() {
	ob.export.close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = ob.requests.Close(ctx)
}
