package tracing

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.opencensus.io/trace"

	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// This file is the only one that knows OpenCensus. It has the clock, the life cycle and the bounds of spans; whether one
// is recorded, and its trace, is decided before.

// Attributes that are not exported: whose span it is, W3C's tracestate, and when a span began that was made at its end.
const (
	attributeTracer = "sluice.tracer"
	attributeState  = "sluice.tracestate"
	attributeBegin  = "sluice.begin"
)

// spans makes the spans of one tracer, and takes them back when they have ended.
type spans struct {
	tracer int64 // tells them from those of others in this process
	put    func(otlp.Span)
}

// span is one that is recorded.
type span struct {
	of *spans
	s  *trace.Span
}

func (m *spans) register()   { trace.RegisterExporter(m) }
func (m *spans) unregister() { trace.UnregisterExporter(m) }

// start begins a recorded span; a zero parent makes it a root.
func (m *spans) start(name string, id traceID, parent spanID, kind otlp.Kind) span {
	oc := trace.SpanKindUnspecified
	if kind == otlp.Server {
		oc = trace.SpanKindServer
	}
	_, s := trace.StartSpanWithRemoteParent(context.Background(), name,
		trace.SpanContext{TraceID: trace.TraceID(id), SpanID: trace.SpanID(parent), TraceOptions: 1},
		trace.WithSampler(recorded), trace.WithSpanKind(oc))
	return span{m, s}
}

func recorded(trace.SamplingParameters) trace.SamplingDecision {
	return trace.SamplingDecision{Sample: true}
}

func (s span) id() spanID     { return spanID(s.s.SpanContext().SpanID) }
func (s span) trace() traceID { return traceID(s.s.SpanContext().TraceID) }

func (s span) begin(method, path, state string, more []otlp.Attribute) {
	s.s.AddAttributes(trace.StringAttribute("http.request.method", method), trace.StringAttribute("url.path", path))
	if state != "" {
		s.s.AddAttributes(trace.StringAttribute(attributeState, state))
	}
	for _, a := range more {
		switch {
		case a.Text != "":
			s.s.AddAttributes(trace.StringAttribute(a.Name, a.Text))
		case a.Number != 0:
			s.s.AddAttributes(trace.Int64Attribute(a.Name, a.Number))
		}
	}
}

// result ends a request's span.
func (s span) result(status, attempts int, reason string, failed bool) {
	s.s.AddAttributes(trace.Int64Attribute("http.response.status_code", int64(status)), trace.Int64Attribute("sluice.attempts", int64(attempts)))
	if reason != "" {
		s.s.AddAttributes(trace.StringAttribute("sluice.reason", reason))
	}
	if failed {
		s.s.SetStatus(trace.Status{Code: trace.StatusCodeUnknown, Message: reason})
	}
	s.end()
}

// since ends a span that began before it was known to be worth one.
func (s span) since(begin time.Time) {
	s.s.AddAttributes(trace.Int64Attribute(attributeBegin, begin.UnixNano()))
	s.end()
}

// end hands the span to the exporters.
func (s span) end() {
	s.s.AddAttributes(trace.Int64Attribute(attributeTracer, s.of.tracer))
	s.s.End()
}

// ExportSpan implements trace.Exporter. It is called by End, for the spans of all tracers in the process.
func (m *spans) ExportSpan(d *trace.SpanData) {
	if d.Attributes[attributeTracer] != m.tracer {
		return
	}
	s := otlp.Span{
		TraceID: d.TraceID, SpanID: d.SpanID, Parent: d.ParentSpanID, Name: d.Name, Start: d.StartTime, End: d.EndTime,
		Failed: d.Code != trace.StatusCodeOK, Error: d.Message,
	}
	if d.SpanKind == trace.SpanKindServer {
		s.Kind = otlp.Server
	}
	s.Attributes = make([]otlp.Attribute, 0, len(d.Attributes))
	for name, v := range d.Attributes {
		n, _ := v.(int64)
		text, _ := v.(string)
		switch name {
		case attributeTracer:
		case attributeState:
			s.State = text
		case attributeBegin:
			s.Start = time.Unix(0, n)
		default:
			s.Attributes = append(s.Attributes, otlp.Attribute{Name: name, Text: text, Number: n})
		}
	}
	slices.SortFunc(s.Attributes, func(a, b otlp.Attribute) int { return strings.Compare(a.Name, b.Name) })
	m.put(s)
}
