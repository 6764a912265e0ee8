package tracing

import (
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// spans makes the spans of a tracer, and passes them to put when they have ended, while Run exports.
type spans struct {
	wanted atomic.Bool
	put    func(otlp.Span)
}

// span is a span in progress. One goroutine at a time uses it.
type span struct {
	of *spans
	s  *otlp.Span
}

// start begins a span; a zero parent makes it a root.
func (m *spans) start(name string, id traceID, parent spanID, kind otlp.Kind) span {
	return span{m, &otlp.Span{
		TraceID: id, SpanID: newSpanID(), Parent: parent, Name: name, Kind: kind, Start: time.Now(),
	}}
}

func (s span) id() spanID     { return s.s.SpanID }
func (s span) trace() traceID { return s.s.TraceID }

// begin sets the attributes of a request's head, and those of more that are not empty.
func (s span) begin(method, path, state string, more []otlp.Attribute) {
	s.s.State = state
	s.s.Attributes = append(make([]otlp.Attribute, 0, 5+len(more)), // with room for the three of result
		otlp.Attribute{Name: "http.request.method", Text: method}, otlp.Attribute{Name: "url.path", Text: path})
	for _, a := range more {
		if a.Text != "" || a.Number != 0 {
			s.s.Attributes = append(s.s.Attributes, a)
		}
	}
}

// result ends a request's span.
func (s span) result(status, attempts int, reason string, failed bool) {
	s.s.Attributes = append(s.s.Attributes,
		otlp.Attribute{Name: "http.response.status_code", Number: int64(status)},
		otlp.Attribute{Name: "sluice.attempts", Number: int64(attempts)})
	if reason != "" {
		s.s.Attributes = append(s.s.Attributes, otlp.Attribute{Name: "sluice.reason", Text: reason})
	}
	if s.s.Failed = failed; failed {
		s.s.Error = reason
	}
	s.end()
}

// Span is one of Tracer.Start. One goroutine at a time uses it.
type Span struct{ span }

// End ends the span, which has failed unless why is empty. Attributes without text and number are left out, and long texts are cut off.
func (s *Span) End(why string, attributes ...otlp.Attribute) {
	for _, a := range attributes {
		if a.Text == "" && a.Number == 0 {
			continue
		}
		a.Text = kept(a.Text)
		s.s.Attributes = append(s.s.Attributes, a)
	}
	s.s.Failed, s.s.Error = why != "", why
	s.end()
}

// since ends a span and sets its start to begin.
func (s span) since(begin time.Time) {
	s.s.Start = begin
	s.end()
}

func (s span) end() {
	s.s.End = time.Now()
	if s.of.wanted.Load() {
		s.of.put(*s.s)
	}
}
