package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// Defaults of OpenTelemetry's batch processor (OTEL_BSP_MAX_QUEUE_SIZE, _MAX_EXPORT_BATCH_SIZE, _SCHEDULE_DELAY).
const (
	maxQueue   = 2048
	batchSize  = 512
	batchDelay = 5 * time.Second
)

// DefaultFlushTimeout is that of metrics/otlp.
const DefaultFlushTimeout = otlp.DefaultFlushTimeout

// Config of a Tracer. Only Span has no default.
type Config struct {
	// Span is the name of the spans of requests, and Wait that of their waits. If Wait is empty, waits have no spans.
	Span, Wait string
	// Resource has OpenTelemetry's resource attributes of the spans, of which service.name is required.
	Resource map[string]string
	// Skip reports whether a request is not traced; Begin calls it. Nil: requests of kubelets and those with K-Network-Probe.
	Skip func(*proxy.Request) bool
	// Attributes returns more attributes of a sampled request; Begin calls it before the inner policy. Attributes without
	// text and number are left out. It may be nil.
	Attributes func(*proxy.Request) []otlp.Attribute
	// Out gets the lines of the protocol stdout. Nil: os.Stdout.
	Out io.Writer
	// FlushTimeout bounds the last export, after Run's context has ended. 0: DefaultFlushTimeout.
	FlushTimeout time.Duration
	// Failed is called with the error of the first export of a series that fails, and with nil when the series has ended.
	// Run's goroutine calls it and waits for it. It may be nil.
	Failed func(error)
}

// Validate reports the first field that can't be used.
func (c Config) Validate() error {
	if c.Span == "" {
		return errors.New("tracing: Config.Span is missing")
	}
	if c.FlushTimeout < 0 {
		return fmt.Errorf("tracing: Config.FlushTimeout %v is negative", c.FlushTimeout)
	}
	return nil
}

// Tracer records and exports spans; it is off until Set. It is safe for concurrent use, with one Run at a time.
type Tracer struct {
	config  Config
	setting atomic.Pointer[setting] // nil: off
	changed chan struct{}           // capacity 1: setting has changed
	queue   queue
	spans   spans
	failing bool // Run's: the last export failed
}

// setting has the argument of the last Set. It is never changed but replaced.
type setting struct {
	exporter observability.Exporter
	sampler  sampler
	sink     sink
}

// sink exports spans. Export blocks; an error means that some of the spans are lost.
type sink interface {
	Export(ctx context.Context, spans []otlp.Span) error
	Close()
}

// New returns a tracer that is off, or the error of Validate.
func New(c Config) (*Tracer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Skip == nil {
		c.Skip = func(req *proxy.Request) bool { return knative.IsProbe(req.Header.Get) }
	}
	if c.Out == nil {
		c.Out = os.Stdout
	}
	c.FlushTimeout = cmp.Or(c.FlushTimeout, DefaultFlushTimeout)
	t := &Tracer{config: c, changed: make(chan struct{}, 1)}
	t.queue.wake = make(chan struct{}, 1)
	t.spans.put = t.queue.put
	return t, nil
}

// Set configures, from the next request on, the export of spans and which requests are recorded. An exporter that records no
// request turns tracing off. If Set returns an error nothing has changed.
func (t *Tracer) Set(e observability.Exporter) error {
	if old := t.setting.Load(); old != nil && reflect.DeepEqual(old.exporter, e) {
		return nil
	}
	var next *setting
	if e.Protocol != observability.None && (e.SamplingRate > 0 || e.ParentBased) {
		s, err := t.newSink(e)
		if err != nil {
			return err
		}
		next = &setting{exporter: e, sampler: newSampler(e), sink: s}
	}
	t.setting.Store(next)
	select {
	case t.changed <- struct{}{}:
	default:
	}
	return nil
}

func (t *Tracer) newSink(e observability.Exporter) (sink, error) {
	switch {
	case e.OTLP():
		return otlp.NewSpans(e.Collector(t.config.Resource))
	case e.Protocol == observability.Zipkin:
		return newZipkin(e.Endpoint, t.config.Resource["service.name"]), nil
	case e.Protocol == observability.Stdout:
		return lines{t.config.Out, t.config.Resource["service.name"]}, nil
	}
	return nil, fmt.Errorf("tracing: protocol %q is not http/protobuf, grpc, zipkin or stdout", e.Protocol)
}

// Wrap returns a policy that calls p and traces its requests while tracing is on. A policy that needs the fields of the trace,
// such as a request log, must be within p.
func (t *Tracer) Wrap(p proxy.Policy) proxy.Policy {
	w := &policy{tracer: t, Policy: p}
	w.exchanges.New = func() any { return &exchange{policy: w} }
	return w
}

// Start begins a span of what is no request of a proxy, as a child of traceparent, or as a root if that is empty or malformed. It returns the
// fields for what the span causes, and the span: nil if it isn't recorded. While tracing is off the fields are those that it was given.
func (t *Tracer) Start(name string, kind otlp.Kind, traceparent, tracestate string) (parent, state string, s *Span) {
	set := t.setting.Load()
	if set == nil {
		return traceparent, tracestate, nil
	}
	from := parseTraceparent(traceparent)
	trace := from.trace
	if !from.exists() {
		trace, tracestate = newTraceID(), ""
	}
	switch {
	case set.sampler.sample(&from, trace):
	case from.exists():
		return traceparent, tracestate, nil
	default:
		return formatTraceparent(trace, newSpanID(), false, false), "", nil
	}
	if len(tracestate) > maxText {
		tracestate = "" // cut off it would be malformed
	}
	started := t.spans.start(name, trace, from.span, kind)
	started.s.State = strings.Clone(tracestate)
	return formatTraceparent(trace, started.id(), true, from.random), tracestate, &Span{started}
}

// Run exports spans until ctx is done, and then those that are left, for Config.FlushTimeout at most. It returns nil. A change
// by Set applies to the next export.
func (t *Tracer) Run(ctx context.Context) error {
	// life outlasts ctx by the time to flush.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	last := time.AfterFunc(time.Hour, end)
	last.Stop()
	defer last.Stop()
	defer context.AfterFunc(ctx, func() { last.Reset(t.config.FlushTimeout) })()

	tick := time.NewTicker(batchDelay)
	defer tick.Stop()
	tick.Stop()
	var current *setting
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-t.changed:
		case <-t.queue.wake:
		case <-tick.C:
		}
		t.export(life, current)
		next := t.setting.Load()
		if done {
			next = nil
		}
		if next == current {
			continue
		}
		tick.Stop()
		if current != nil {
			t.spans.wanted.Store(false)
			t.export(life, current) // spans of requests that have just ended
			current.sink.Close()
		}
		if next != nil {
			t.spans.wanted.Store(true)
			tick.Reset(batchDelay)
		}
		current = next
	}
	return nil
}

// export sends all spans of the queue in batches.
func (t *Tracer) export(ctx context.Context, s *setting) {
	if s == nil {
		return
	}
	for {
		batch := t.queue.take()
		if len(batch) == 0 {
			return
		}
		err := s.sink.Export(ctx, batch)
		if err != nil {
			t.queue.dropped.Add(uint64(len(batch)))
		}
		if failing := err != nil; failing != t.failing {
			t.failing = failing
			if t.config.Failed != nil {
				t.config.Failed(err)
			}
		}
	}
}

// Dropped returns the number of spans that were lost because they could not be exported, or not fast enough.
func (t *Tracer) Dropped() uint64 { return t.queue.dropped.Load() }

// Pending returns the number of spans that have ended and are not exported yet: lost, if Run is not waited for any longer.
func (t *Tracer) Pending() int { return t.queue.pending() }
