package telemetry

import (
	"cmp"
	"context"
	"io"
	"net/url"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// Config of a Telemetry. Span, Out, Registry and Log have no default.
type Config struct {
	// Span names the spans of requests, and Wait those of their waits. An empty Wait: waits have no span.
	Span, Wait string
	// Resource is what metrics and spans belong to, by OpenTelemetry's names, service.name first of all.
	Resource map[string]string
	// Attributes tells more of a sampled request, for its span, and Revision whose a request is, for the request log. Both
	// are called as a request begins, and must not block. Nil: nothing is known.
	Attributes func(*proxy.Request) []otlp.Attribute
	Revision   func(*proxy.Request) requestlog.Revision
	// Probe tells which requests are probes: they have no spans. Nil: those of kubelets, and those with K-Network-Probe.
	Probe func(*proxy.Request) bool
	// Out gets the lines of the request log, and of spans with the protocol stdout.
	Out io.Writer
	// Registry has the metrics, and gets those of the request log once that is on.
	Registry *prometheus.Registry
	// Page serves Registry for Prometheus at an address, or at its own when that is empty, until it is closed. Nil: the
	// program serves it by itself.
	Page func(addr string) (io.Closer, error)
	// FlushTime bounds the sending and writing of what is left, at the end and whenever a collector is replaced. 0:
	// otlp.DefaultFlushTimeout.
	FlushTime time.Duration
	Log       *zap.Logger
}

// Telemetry is all off until it is set.
type Telemetry struct {
	config   Config
	requests *requestlog.Log
	tracer   *tracing.Tracer
	counted  bool                   // the metrics of requests are registered
	traced   bool                   // tracer runs
	metrics  observability.Exporter // that runs
	end      func()                 // of it

	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New returns a telemetry that is off, and has started nothing. The error is of a field that can't be used.
func New(c Config) (*Telemetry, error) {
	c.Out = zapcore.Lock(zapcore.AddSync(c.Out)) // lines of requests and of spans
	c.FlushTime = cmp.Or(c.FlushTime, otlp.DefaultFlushTimeout)
	t := &Telemetry{config: c, end: func() {}}
	var err error
	if t.requests, err = requestlog.New(requestlog.Config{
		Out: c.Out, Revision: c.Revision, Probe: c.Probe,
		Failed: func(err error) { c.Log.Error("a line of the request log is not whole", zap.Error(err)) },
	}); err != nil {
		return nil, err
	}
	if t.tracer, err = tracing.New(tracing.Config{
		Span: c.Span, Wait: c.Wait, Resource: c.Resource, Attributes: c.Attributes, Skip: c.Probe, Out: c.Out,
		FlushTimeout: c.FlushTime, Failed: t.failing("traces"),
	}); err != nil {
		return nil, err
	}
	t.life, t.stop = context.WithCancel(context.Background())
	return t, nil
}

// Wrap puts the request log around p, so that it sees what the client sent and got, and the trace around that, so that it is
// logged which. While both are off a request costs two atomic loads.
func (t *Telemetry) Wrap(p proxy.Policy) proxy.Policy { return t.tracer.Wrap(t.requests.Wrap(p)) }

// SetRequestLog turns the request log on or off, from the next request on. When its template can't be used everything stays
// as it was, and the error says why.
func (t *Telemetry) SetRequestLog(l observability.RequestLog) error {
	if err := t.requests.Set(l.Template, l.Enabled, l.Probes); err != nil || !l.Enabled || t.counted {
		return err
	}
	t.counted = true
	return metrics.RegisterRequestLog(t.config.Registry, t.requests)
}

// SetTraces says where spans go and which requests have one, from the next request on. When that can't be used everything
// stays as it was, and the error says why.
func (t *Telemetry) SetTraces(e observability.Exporter) error {
	if err := t.tracer.Set(e); err != nil || e.Protocol == observability.None || t.traced {
		return err
	}
	t.traced = true
	t.running.Go(func() { _ = t.tracer.Run(t.life) }) // it tells Failed
	return nil
}

// SetMetrics says where metrics go. When that can't be used they go nowhere, the error says why, and the same may be set
// again.
func (t *Telemetry) SetMetrics(e observability.Exporter) (err error) {
	if reflect.DeepEqual(e, t.metrics) {
		return nil
	}
	t.end() // the next one may want its port
	t.end, t.metrics = func() {}, observability.Exporter{}
	switch {
	case e.OTLP():
		err = t.push(e)
	case e.Protocol == observability.Prometheus && t.config.Page != nil:
		err = t.serve(e)
	}
	if err == nil {
		t.metrics = e
	}
	return err
}

func (t *Telemetry) serve(e observability.Exporter) error {
	page, err := t.config.Page(e.Endpoint)
	if err == nil {
		t.end = func() { _ = page.Close() }
	}
	return err
}

func (t *Telemetry) push(e observability.Exporter) error {
	to := e.Collector(t.config.Resource)
	to.Gatherer, to.FlushTimeout, to.Failed = t.config.Registry, t.config.FlushTime, t.failing("metrics")
	pushed, err := otlp.NewMetrics(to)
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(t.life)
	t.end = stop
	t.running.Go(func() { _ = pushed.Run(life) }) // it tells Failed
	if u, err := url.Parse(e.Endpoint); err == nil {
		t.config.Log.Info("metrics are pushed", zap.String("to", u.Redacted()))
	}
	return nil
}

// failing logs the first of a row of failures to export, and its end.
func (t *Telemetry) failing(of string) func(error) {
	return func(err error) {
		if err != nil {
			t.config.Log.Warn("the collector of "+of+" takes none", zap.Error(err))
		} else {
			t.config.Log.Info("the collector of " + of + " takes them again")
		}
	}
}

// Close writes and sends what is left, for Config.FlushTime at most. A reader of Out that doesn't read, or a collector that
// doesn't answer, keeps nobody from ending; what is lost is logged.
func (t *Telemetry) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), t.config.FlushTime)
	defer cancel()
	t.end()
	t.stop()
	sent := make(chan struct{})
	go func() { defer close(sent); t.running.Wait() }() // outlives Close only if a write of spans to Out hangs
	_ = t.requests.Close(ctx)                           // told below
	select {
	case <-sent:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		t.config.Log.Warn("telemetry was not sent in time, some of it is lost", zap.Duration("after", t.config.FlushTime))
	}
	if lost := t.requests.Dropped(); lost > 0 {
		t.config.Log.Warn("lines of the request log were lost", zap.Uint64("lines", lost))
	}
	if lost := t.tracer.Dropped(); lost > 0 {
		t.config.Log.Warn("spans were lost", zap.Uint64("spans", lost))
	}
}
