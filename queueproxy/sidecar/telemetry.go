package sidecar

import (
	"cmp"
	"context"
	"io"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// telemetry is what Main puts around a Proxy: the request log, traces and metrics that are pushed.
type telemetry struct {
	requests *requestlog.Log // nil: off
	pushed   *otlp.Metrics   // nil: off
	tracer   *tracing.Tracer // nil: off

	running sync.WaitGroup
	stop    context.CancelFunc // of what start has begun
	log     *zap.Logger
}

// newTelemetry makes what o asks for and has c use it. What can't be made is logged and left out: it comes from a
// configuration of the whole cluster, whose pods should start all the same.
func newTelemetry(o observed, c *queueproxy.Config, out io.Writer, log *zap.Logger) *telemetry {
	t := &telemetry{log: log}
	out = zapcore.Lock(zapcore.AddSync(out)) // lines of requests and of spans
	without := func(what string, err error) {
		if err != nil {
			log.Error("served without "+what, zap.Error(err))
		}
	}
	if o.RequestLog.Enabled {
		without("a request log", t.logRequests(o.RequestLog, c, out, log))
	}
	if o.RequestMetrics.OTLP() {
		without("request metrics", t.pushMetrics(o, c, log))
	}
	if o.Tracing.Protocol != observability.None {
		without("traces", t.trace(o, c.Identity, out, log))
	}
	if t.requests != nil || t.tracer != nil {
		c.WrapPolicy = around(c.WrapPolicy, t.wrap)
	}
	return t
}

func (t *telemetry) trace(o observed, id queueproxy.Identity, out io.Writer, log *zap.Logger) error {
	tracer, err := tracing.New(tracing.Config{
		Span: "queue", Wait: "kn.queueproxy.wait", // Knative's names
		Resource: o.resource(id), Out: out, Failed: program.Failing(log, "traces"), FlushTimeout: queueproxy.FlushTime,
		Skip: func(req *proxy.Request) bool { return queueproxy.IsProbe(req.Header) },
	})
	if err != nil {
		return err
	}
	if err := tracer.Set(o.Tracing); err != nil {
		return err
	}
	t.tracer = tracer
	return nil
}

// pushMetrics has what c counts go to a collector.
func (t *telemetry) pushMetrics(o observed, c *queueproxy.Config, log *zap.Logger) (err error) {
	c.Registry = cmp.Or(c.Registry, prometheus.NewRegistry())
	to := program.Collector(o.RequestMetrics, o.resource(c.Identity))
	to.Gatherer, to.FlushTimeout = c.Registry, queueproxy.FlushTime
	to.Failed = program.Failing(log, "metrics")
	t.pushed, err = otlp.NewMetrics(to)
	return err
}

// resource says what metrics and traces belong to, in the names of OpenTelemetry and of Knative.
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

// start begins to send; close ends it.
func (t *telemetry) start() {
	var ctx context.Context
	ctx, t.stop = context.WithCancel(context.Background())
	if t.pushed != nil {
		t.running.Go(func() { _ = t.pushed.Run(ctx) }) // it tells Failed
	}
	if t.tracer != nil {
		t.running.Go(func() { _ = t.tracer.Run(ctx) }) // as well
	}
}

func (t *telemetry) logRequests(r observability.RequestLog, c *queueproxy.Config, out io.Writer, log *zap.Logger) error {
	id := c.Identity
	revision := requestlog.Revision{
		Name: id.Revision, Namespace: id.Namespace, Service: id.Service, Configuration: id.Configuration,
		PodName: id.Pod, PodIP: id.PodIP,
	}
	l, err := requestlog.New(requestlog.Config{
		Out:      out,
		Revision: func(*proxy.Request) requestlog.Revision { return revision },
		Probe:    func(req *proxy.Request) bool { return queueproxy.IsProbe(req.Header) },
		Failed:   func(err error) { log.Error("a line of the request log is not whole", zap.Error(err)) },
	})
	if err != nil {
		return err
	}
	if err := l.Set(r.Template, true, r.Probes); err != nil {
		log.Error("no request log: its template can't be used", zap.Error(err))
		return nil
	}
	t.requests = l
	if c.RequestMetrics == queueproxy.MetricsOff {
		return nil
	}
	c.Registry = cmp.Or(c.Registry, prometheus.NewRegistry())
	return metrics.RegisterRequestLog(c.Registry, l)
}

// wrap puts the request log around everything, so that it sees what the client sent and got, and the trace around
// that, so that it is logged which.
func (t *telemetry) wrap(p proxy.Policy) proxy.Policy {
	if t.requests != nil {
		p = t.requests.Wrap(p)
	}
	if t.tracer != nil {
		p = t.tracer.Wrap(p)
	}
	return p
}

// close writes and sends what is left, for queueproxy.FlushTime at most. A reader of stdout that doesn't read, or a collector that
// doesn't answer, keeps nobody from ending; what is lost is logged.
func (t *telemetry) close() {
	ctx, cancel := context.WithTimeout(context.Background(), queueproxy.FlushTime)
	defer cancel()
	t.stop()
	sent := make(chan struct{})
	go func() { defer close(sent); t.running.Wait() }() // outlives close only if a write of spans to stdout hangs
	if t.requests != nil {
		_ = t.requests.Close(ctx) // told below
	}
	select {
	case <-sent:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		t.log.Warn("telemetry was not sent in time, some of it is lost", zap.Duration("after", queueproxy.FlushTime))
	}
	if t.requests != nil && t.requests.Dropped() > 0 {
		t.log.Warn("lines of the request log were lost", zap.Uint64("lines", t.requests.Dropped()))
	}
	if t.tracer != nil && t.tracer.Dropped() > 0 {
		t.log.Warn("spans were lost", zap.Uint64("spans", t.tracer.Dropped()))
	}
}

// around wraps in inner, which may be nil, and then in outer.
func around(inner, outer func(proxy.Policy) proxy.Policy) func(proxy.Policy) proxy.Policy {
	if inner == nil {
		return outer
	}
	return func(p proxy.Policy) proxy.Policy { return outer(inner(p)) }
}
