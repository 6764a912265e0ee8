package tracing

import (
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// spans makes the spans of a tracer, and takes them when they have ended, while there is somebody who exports them.
type spans struct {
	wanted atomic.Bool
	put    func(otlp.Span)
}

// span is one that is recorded, by one goroutine at a time.
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

// begin says what is known of a request by its head. Of more, what is empty is left out.
func (s span) begin(method, path, state string, more []otlp.Attribute) {
	s.s.State = state
	s.s.Attributes = append(make([]otlp.Attribute, 0, 5+len(more)), // the three of result too
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

// since ends a span that began before it was known to be worth one.
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
