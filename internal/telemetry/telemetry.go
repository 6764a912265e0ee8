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
	// Span is the name of the spans of requests, and Wait that of their waits. If Wait is empty, waits have no spans.
	Span, Wait string
	// Resource has OpenTelemetry's resource attributes of metrics and spans, of which service.name is required.
	Resource map[string]string
	// Attributes returns attributes for the span of a sampled request, and Revision the revision of a request for the request
	// log. Both are called when a request begins, must not block, and may be nil.
	Attributes func(*proxy.Request) []otlp.Attribute
	Revision   func(*proxy.Request) requestlog.Revision
	// Probe reports whether a request is a probe, which has no span. Nil: requests of kubelets and those with K-Network-Probe.
	Probe func(*proxy.Request) bool
	// Out gets the lines of the request log, and those of spans with the protocol stdout.
	Out io.Writer
	// Registry has the metrics. The metrics of the request log are added once it is on.
	Registry *prometheus.Registry
	// Page serves Registry for Prometheus at addr, or at a default address if addr is empty, until it is closed. Nil: the
	// program itself serves Registry.
	Page func(addr string) (io.Closer, error)
	// FlushTime bounds the time for pending lines, spans and metrics, in Close and whenever a collector is replaced. 0 means
	// otlp.DefaultFlushTimeout.
	FlushTime time.Duration
	Log       *zap.Logger
}

// Telemetry has the request log, traces and metrics of a program. Each is off until it is set. Requests may come at any time;
// the methods named Set… and Close are called one after the other.
type Telemetry struct {
	config   Config
	requests *requestlog.Log
	tracer   *tracing.Tracer
	counted  bool                   // the metrics of the request log are registered
	traced   bool                   // tracer runs
	metrics  observability.Exporter // the configuration in force of the export of metrics
	end      func()                 // ends that export

	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// New returns a Telemetry that is off and has started no goroutine. Its error is about a field that can't be used.
func New(c Config) (*Telemetry, error) {
	c.Out = zapcore.Lock(zapcore.AddSync(c.Out)) // the request log and the tracer write concurrently
	c.FlushTime = cmp.Or(c.FlushTime, otlp.DefaultFlushTimeout)
	t := &Telemetry{config: c, end: func() {}}
	var err error
	if t.requests, err = requestlog.New(requestlog.Config{
		Out: c.Out, Revision: c.Revision, Probe: c.Probe,
		Failed: func(err error) { c.Log.Error("a line of the request log is incomplete", zap.Error(err)) },
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

// Wrap returns a policy that logs and traces the requests of p. The request log is around p, so that it sees the client's
// request and response, and the tracer around the log, so that lines have trace IDs. While both are off they cost two atomic
// loads a request.
func (t *Telemetry) Wrap(p proxy.Policy) proxy.Policy { return t.tracer.Wrap(t.requests.Wrap(p)) }

// SetRequestLog turns the request log on or off, from the next request on. If the template can't be used it returns an error and
// changes nothing. If Config.Registry has the log's metrics already it returns an error, too, but the log is on.
func (t *Telemetry) SetRequestLog(l observability.RequestLog) error {
	if err := t.requests.Set(l.Template, l.Enabled, l.Probes); err != nil || !l.Enabled || t.counted {
		return err
	}
	t.counted = true
	return metrics.RegisterRequestLog(t.config.Registry, t.requests)
}

// SetTraces configures the sampling of requests and the export of their spans, from the next request on. If it returns an error
// nothing has changed.
func (t *Telemetry) SetTraces(e observability.Exporter) error {
	if err := t.tracer.Set(e); err != nil || e.Protocol == observability.None || t.traced {
		return err
	}
	t.traced = true
	t.running.Go(func() { _ = t.tracer.Run(t.life) }) // errors go to Failed
	return nil
}

// SetMetrics configures the export of metrics; with the configuration in force it does nothing. If it returns an error no metrics
// are exported, and a later call may try the same configuration again.
func (t *Telemetry) SetMetrics(e observability.Exporter) (err error) {
	if reflect.DeepEqual(e, t.metrics) {
		return nil
	}
	t.end() // before the next exporter, which may need the same port
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

// serve has Config.Page serve the metrics.
func (t *Telemetry) serve(e observability.Exporter) error {
	page, err := t.config.Page(e.Endpoint)
	if err == nil {
		t.end = func() { _ = page.Close() }
	}
	return err
}

// push starts a goroutine that sends the metrics to a collector.
func (t *Telemetry) push(e observability.Exporter) error {
	to := e.Collector(t.config.Resource)
	to.Gatherer, to.FlushTimeout, to.Failed = t.config.Registry, t.config.FlushTime, t.failing("metrics")
	pushed, err := otlp.NewMetrics(to)
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(t.life)
	t.end = stop
	t.running.Go(func() { _ = pushed.Run(life) }) // errors go to Failed
	if u, err := url.Parse(e.Endpoint); err == nil {
		t.config.Log.Info("metrics are pushed", zap.String("to", u.Redacted()))
	}
	return nil
}

// failing returns a function that logs the first of a series of export errors, and the end of the series, with err nil.
func (t *Telemetry) failing(signal string) func(error) {
	return func(err error) {
		if err != nil {
			t.config.Log.Warn("the export of "+signal+" fails", zap.Error(err))
		} else {
			t.config.Log.Info("the export of " + signal + " succeeds again")
		}
	}
}

// Close writes and sends pending lines, spans and metrics. It returns after Config.FlushTime at most, even if Out blocks or a
// collector doesn't answer, and logs how much was lost.
func (t *Telemetry) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), t.config.FlushTime)
	defer cancel()
	t.end()
	t.stop()
	sent := make(chan struct{})
	go func() { defer close(sent); t.running.Wait() }() // outlives Close only if a write of spans to Out hangs
	_ = t.requests.Close(ctx)                           // the loss is logged below
	select {
	case <-sent:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		t.config.Log.Warn("telemetry was not sent in time; some of it is lost", zap.Duration("after", t.config.FlushTime))
	}
	if lost := t.requests.Dropped() + uint64(t.requests.Pending()); lost > 0 {
		t.config.Log.Warn("lines of the request log were lost", zap.Uint64("lines", lost))
	}
	if lost := t.tracer.Dropped() + uint64(t.tracer.Pending()); lost > 0 {
		t.config.Log.Warn("spans were lost", zap.Uint64("spans", lost))
	}
}
