package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// As OpenTelemetry's batch processor has it by default (OTEL_BSP_MAX_QUEUE_SIZE, _MAX_EXPORT_BATCH_SIZE, _SCHEDULE_DELAY).
const (
	maxQueue   = 2048
	batchSize  = 512
	batchDelay = 5 * time.Second
)

// DefaultFlushTimeout is that of metrics/otlp.
const DefaultFlushTimeout = otlp.DefaultFlushTimeout

// Config of a Tracer. Only Span has no default.
type Config struct {
	// Span names the spans of requests, and Wait those of their waits. An empty Wait: waits have no span.
	Span, Wait string
	// Resource is what the spans belong to, by OpenTelemetry's names, service.name first of all.
	Resource map[string]string
	// Skip tells which requests are no traffic, in Begin. Nil: probes of kubelets, and those with K-Network-Probe.
	Skip func(*proxy.Request) bool
	// Attributes tells more of a sampled request, in Begin, before the policy within. Those without text and number are left
	// out. Nil: there is no more.
	Attributes func(*proxy.Request) []otlp.Attribute
	// Out gets the lines of the protocol stdout. Nil: os.Stdout.
	Out io.Writer
	// FlushTimeout bounds the last export, after Run's context has ended. 0: DefaultFlushTimeout.
	FlushTimeout time.Duration
	// Failed is told of the first of a row of exports that failed, and with nil that the row has ended. It runs on
	// Run's goroutine, which waits for it. Nil: nobody is told.
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

// Tracer records and exports spans; it is off until Set. Its methods may be called concurrently, Run once at a time.
type Tracer struct {
	config  Config
	setting atomic.Pointer[setting] // nil: off
	changed chan struct{}           // of one
	queue   queue
	spans   spans
	failing bool // Failed has been told; of Run
}

// setting is what Set said last. It is never changed.
type setting struct {
	exporter observability.Exporter
	sampler  sampler
	sink     sink
}

// sink is where spans go. Export blocks; an error means that some of them are lost.
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

// Set says where spans go and which requests are recorded, from the next request on; the exporter of a Config, or of
// ClassicTracing. One that records nothing turns tracing off. When it can't be used everything stays as it was.
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

// Dropped counts spans that were lost because they could not be exported, or not as fast as they came.
func (t *Tracer) Dropped() uint64 { return t.queue.dropped.Load() }
