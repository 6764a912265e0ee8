package otlp

import (
	"context"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is one step of a trace.
type Span struct {
	TraceID    [16]byte
	SpanID     [8]byte
	Parent     [8]byte // zero: none
	State      string  // W3C's tracestate
	Name       string
	Kind       Kind
	Start, End time.Time
	Attributes []Attribute
	Failed     bool
	Error      string // why it failed, if that is known
}

// Kind is what a span is to its parent.
type Kind uint8

// The kinds.
const (
	Internal Kind = iota
	Server
)

// Attribute is a text, or a number when Text is empty.
type Attribute struct {
	Name, Text string
	Number     int64
}

// Spans sends spans.
type Spans struct{ client *client }

// NewSpans returns a sender, or the error of Config.Validate, or of a file that can't be used.
func NewSpans(c Config) (*Spans, error) {
	cl, err := newClient(c, "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
	if err != nil {
		return nil, err
	}
	return &Spans{cl}, nil
}

// Export sends spans, trying again for up to a minute when the collector can't take them, or until ctx ends. An error
// means that some or all are lost.
func (s *Spans) Export(ctx context.Context, spans []Span) error {
	all := make([]*tracepb.Span, len(spans))
	for i := range spans {
		all[i] = spans[i].proto()
	}
	return s.client.send(ctx, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   resource(nil, s.client.config.Resource),
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: scope(), Spans: all}},
	}}}, maxRetry)
}

// Close ends the connections that are idle.
func (s *Spans) Close() { s.client.close() }

func (s *Span) proto() *tracepb.Span {
	p := &tracepb.Span{
		TraceId: s.TraceID[:], SpanId: s.SpanID[:], TraceState: strings.ToValidUTF8(s.State, "?"), Flags: 1,
		Name: strings.ToValidUTF8(s.Name, "\uFFFD"), Kind: tracepb.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: nanos(s.Start), EndTimeUnixNano: nanos(s.End),
	}
	if s.Parent != [8]byte{} {
		p.ParentSpanId = s.Parent[:]
	}
	if s.Kind == Server {
		p.Kind = tracepb.Span_SPAN_KIND_SERVER
	}
	for _, a := range s.Attributes {
		if a.Text != "" {
			p.Attributes = append(p.Attributes, text(a.Name, a.Text))
		} else {
			p.Attributes = append(p.Attributes, integer(a.Name, a.Number))
		}
	}
	if s.Failed {
		p.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: s.Error}
	}
	return p
}
