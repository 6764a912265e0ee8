package otlp

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
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
	Client
)

// Attribute is a text, or a number when Text is empty.
type Attribute struct {
	Name, Text string
	Number     int64
}

// Spans sends spans to a collector.
type Spans struct{ client *client }

// NewSpans returns a sender, or the error of Config.Validate, or of a file that can't be used.
func NewSpans(c Config) (*Spans, error) {
	cl, err := newClient(c, "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
	if err != nil {
		return nil, err
	}
	return &Spans{cl}, nil
}

// Export sends spans, again for up to a minute while the collector can't accept them, or until ctx ends. An error means that
// some or all are lost.
func (s *Spans) Export(ctx context.Context, spans []Span) error {
	all := make([]message, len(spans))
	for i := range spans {
		all[i] = spans[i].encode()
	}
	return s.client.send(ctx, signal(resource(nil, s.client.config.Resource), all), maxRetry)
}

// Close closes the idle connections.
func (s *Spans) Close() { s.client.close() }

// encode makes a Span of OTLP.
func (s *Span) encode() message {
	m := message(nil).bytes(1, s.TraceID[:]).bytes(2, s.SpanID[:]).text(3, strings.ToValidUTF8(s.State, "?"))
	if s.Parent != [8]byte{} {
		m = m.bytes(4, s.Parent[:])
	}
	kind := uint64(s.Kind) + 1 // SPAN_KIND_INTERNAL is 1, and the others follow
	m = m.text(5, s.Name).varint(6, kind).fixed(7, nanos(s.Start)).fixed(8, nanos(s.End))
	for _, a := range s.Attributes {
		m = m.attribute(9, a.Name, a.Text, a.Number, a.Text == "")
	}
	if s.Failed {
		m = m.bytes(15, message(nil).text(2, s.Error).varint(3, 2)) // STATUS_CODE_ERROR
	}
	return protowire.AppendFixed32(protowire.AppendTag(m, 16, protowire.Fixed32Type), 1) // flags: sampled
}
