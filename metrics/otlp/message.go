package otlp

import (
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message as far as it has been written. Fields are written by the numbers of
// https://github.com/open-telemetry/opentelemetry-proto, without the generated packages: those register themselves at the
// start of each sidecar, whether it exports or not. Tests read what is written with them.
type message []byte

// text writes a string, unless it is empty.
func (m message) text(field protowire.Number, s string) message {
	if s == "" {
		return m
	}
	return m.bytes(field, []byte(strings.ToValidUTF8(s, "\uFFFD")))
}

// bytes writes bytes or a message, an empty one too.
func (m message) bytes(field protowire.Number, b []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), b)
}

// varint writes a number, zero too.
func (m message) varint(field protowire.Number, n uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), n)
}

// fixed writes a number of 64 bits, zero too.
func (m message) fixed(field protowire.Number, n uint64) message {
	return protowire.AppendFixed64(protowire.AppendTag(m, field, protowire.Fixed64Type), n)
}

func (m message) double(field protowire.Number, v float64) message {
	return m.fixed(field, math.Float64bits(v))
}

// packed writes numbers of 64 bits.
func (m message) packed(field protowire.Number, all []uint64) message {
	var b []byte
	for _, n := range all {
		b = protowire.AppendFixed64(b, n)
	}
	return m.bytes(field, b)
}

// attribute writes a KeyValue: of a text, or of a number when that is empty and numeric.
func (m message) attribute(field protowire.Number, name, text string, number int64, numeric bool) message {
	var value message // an AnyValue
	if numeric {
		value = value.varint(3, uint64(number))
	} else {
		value = value.bytes(1, []byte(strings.ToValidUTF8(text, "\uFFFD")))
	}
	return m.bytes(field, message(nil).text(1, name).bytes(2, value))
}

// signal is a MetricsData or a TracesData of one resource and one scope: in both, messages have the same fields.
func signal(resource message, all []message) message {
	scope := message(nil).bytes(1, message(nil).text(1, "github.com/sluice-proxy/sluice"))
	for _, m := range all {
		scope = scope.bytes(2, m)
	}
	return message(nil).bytes(1, message(nil).bytes(1, resource).bytes(2, scope))
}
