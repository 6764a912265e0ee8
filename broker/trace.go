package broker

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Tracer makes the spans of events: one when a broker has received an event, and one for each attempt to send it. It is called concurrently.
type Tracer interface {
	// Receive and Send begin a span with a parent, which may be none: the request of a sender, and what the span of an event's receipt has
	// returned. They return the trace context of what the span causes. The Span is nil if it isn't recorded.
	Receive(name string, parent TraceContext) (TraceContext, Span)
	Send(name string, parent TraceContext) (TraceContext, Span)
}

// Span is a step of a trace that is recorded.
type Span interface {
	// End ends it. Failed says why the step has failed; empty: it has not.
	End(failed string, attributes []Attribute)
}

// Attribute is one of a Span: a text, or a number if Text is empty.
type Attribute struct {
	Name, Text string
	Number     int64
}

// TraceContext is a place in a trace, as the fields traceparent and tracestate have it (W3C Trace Context). The zero value is none.
type TraceContext struct{ Parent, State string }

// untraced is the Tracer without spans.
type untraced struct{}

func (untraced) Receive(_ string, parent TraceContext) (TraceContext, Span) { return parent, nil }
func (untraced) Send(_ string, parent TraceContext) (TraceContext, Span)    { return parent, nil }

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
	// longestState bounds a tracestate. W3C Trace Context §3.3.1.5 has 512 bytes passed on at least.
	longestState = 1 << 10
)

// parentForm is a traceparent of any version (W3C Trace Context §3.2, §4.3), which fits into a record.
var parentForm = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,190})?$`)

// newTrace returns none if the traceparent is malformed.
func newTrace(parent, state string) TraceContext {
	switch {
	case parent == "" || !parentForm.MatchString(parent):
		return TraceContext{}
	case len(state) > longestState: // cut off it would be malformed
		state = ""
	}
	return TraceContext{parent, state}
}

func traceOfHeader(h http.Header) TraceContext {
	return newTrace(h.Get(traceparent), strings.Join(h.Values(tracestate), ","))
}

// traceOfEvent returns that of the attributes (CloudEvents, "Distributed Tracing" extension).
func traceOfEvent(e *cloudevent.Event) TraceContext {
	parent, _ := e.Attribute(traceparent)
	state, _ := e.Attribute(tracestate)
	return newTrace(parent, state)
}

// receive begins the span of an event's receipt, and returns the trace of the event's record. An event without attributes of a
// trace gets those that its sender was at; others stay, since they are those of the trace's start (the same extension).
func (s *stream) receive(e *cloudevent.Event, from TraceContext) (TraceContext, Span) {
	if _, ok := e.Attribute(traceparent); !ok && from != (TraceContext{}) && e.Set(traceparent, from.Parent) == nil && from.State != "" {
		_ = e.Set(tracestate, from.State) // what is no attribute's value is left out
	}
	own := traceOfEvent(e)
	trace, span := s.server.config.Tracer.Receive("receive "+s.destination(), cmp.Or(from, own))
	if trace == own {
		trace = TraceContext{}
	}
	return trace, span
}

// received ends spans that receive has begun.
func (s *stream) received(spans []Span, records []record, err error) {
	for i, span := range spans {
		if span == nil {
			continue
		}
		failed := ""
		attributes := append(attributesOf(&records[i].event), messaging("receive", "receive", s.destination())...)
		if err != nil {
			failed = storeResult(err)
			attributes = append(attributes, Attribute{Name: "error.type", Text: failed})
		}
		span.End(failed, attributes)
	}
}

// destination and that of a dispatcher are names as Knative's spans have them (knative.dev/eventing/pkg/tracing).
func (s *stream) destination() string { return "broker:" + s.id.Name + "." + s.id.Namespace }

func (d *dispatcher) destination() string { return "trigger:" + d.id.Name + "." + d.id.Namespace }

// startSend begins the span of an attempt. The function that it returns ends it.
func (d *dispatcher) startSend(it *item) (TraceContext, func(r *request, f *failure)) {
	operation := "send"
	if it.dead != nil {
		operation = "dead-letter"
	}
	trace, span := d.stream.server.config.Tracer.Send(operation+" "+d.destination(), it.record.traceContext())
	if span == nil {
		return trace, func(*request, *failure) {}
	}
	return trace, func(r *request, f *failure) {
		attributes := append(attributesOf(r.event), messaging(operation, "send", d.destination())...)
		attributes = append(attributes, Attribute{Name: "url.full", Text: r.sink.Redacted()})
		if it.failed > 0 {
			attributes = append(attributes, Attribute{Name: "http.request.resend_count", Number: int64(it.failed)})
		}
		failed := ""
		if f != nil {
			failed = string(f.result)
			kind := failed
			if f.result == resultFailed || f.result == resultRejected {
				attributes = append(attributes, Attribute{Name: "http.response.status_code", Number: int64(f.code)})
				kind = strconv.Itoa(f.code)
			}
			attributes = append(attributes, Attribute{Name: "error.type", Text: kind})
		}
		span.End(failed, attributes)
	}
}

// messaging returns OpenTelemetry's attributes of an operation of a messaging system
// (https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/).
func messaging(operation, kind, destination string) []Attribute {
	return []Attribute{
		{Name: "messaging.system", Text: "knative"},
		{Name: "messaging.operation.name", Text: operation},
		{Name: "messaging.operation.type", Text: kind},
		{Name: "messaging.destination.name", Text: destination},
	}
}

// attributesOf returns OpenTelemetry's attributes of an event (https://opentelemetry.io/docs/specs/semconv/cloudevents/cloudevents-spans/).
func attributesOf(e *cloudevent.Event) []Attribute {
	all := []Attribute{{Name: "messaging.message.body.size", Number: int64(len(e.Data()))}}
	for _, name := range []struct{ attribute, of string }{
		{"messaging.message.id", "id"},
		{"cloudevents.event_id", "id"},
		{"cloudevents.event_source", "source"},
		{"cloudevents.event_type", "type"},
		{"cloudevents.event_spec_version", "specversion"},
		{"cloudevents.event_subject", "subject"},
	} {
		if value, ok := e.Attribute(name.of); ok {
			all = append(all, Attribute{Name: name.attribute, Text: value})
		}
	}
	return all
}
