package broker

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// record is an event as a broker's log has it: when it came, how many brokers it may still pass, where it is in a trace, and the event.
//
//	0  1  version: 2, or 1 if it has no trace besides that of the event's attributes
//	1  8  when it came, in nanoseconds since 1970
//	9  4  how many times an event that replies to it may be taken
//	   1  version 2: length of traceparent
//	   2  version 2: length of tracestate
//	      version 2: both
//	      the event, as package cloudevent stores it
type record struct {
	arrived time.Time
	ttl     uint32
	trace   TraceContext // none: that of the event's attributes
	event   cloudevent.Event
}

const (
	recordVersion  = 1
	tracedVersion  = 2
	recordHead     = 13
	recordTraceLen = 3
)

// traceContext is where the event is in a trace.
func (r *record) traceContext() TraceContext { return cmp.Or(r.trace, traceOfEvent(&r.event)) }

// ttlAttribute bounds loops of events that triggers reply with: each broker that takes an event lowers it, by more if it is one of a batch, and
// events begin with defaultTTL (knative.dev/eventing/pkg/broker/ttl.go, and cmd/broker/ingress). It isn't delivered.
const (
	ttlAttribute = "knativebrokerttl"
	defaultTTL   = 255
)

// incomingTTL returns the TTL of an event that has come, which is 0 if the broker must not take it.
func incomingTTL(e *cloudevent.Event) uint32 {
	text, ok := e.Attribute(ttlAttribute)
	if !ok {
		return defaultTTL
	}
	ttl, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return defaultTTL // as in Knative
	}
	return uint32(max(ttl-1, 0))
}

// doubling is what it takes of the TTL that a reply is a batch of twice as many events. So a chain of replies multiplies an event into 2¹⁵ at
// most, and a batch of a thousand leaves a chain of 94.
const doubling = 16

// replyTTL returns the TTL of each of n events that reply to this one, which is 0 if the broker must not take them.
func (r *record) replyTTL(n int) uint32 {
	cost := uint32(1)
	if n > 1 {
		cost = doubling * uint32(bits.Len(uint(n-1)))
	}
	return r.ttl - min(cost, r.ttl)
}

func (r *record) appendTo(b []byte) []byte {
	version := byte(recordVersion)
	if r.trace != (TraceContext{}) {
		version = tracedVersion
	}
	b = append(b, version)
	b = binary.BigEndian.AppendUint64(b, uint64(r.arrived.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, r.ttl)
	if version == tracedVersion {
		b = append(b, byte(len(r.trace.Parent)))
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.trace.State)))
		b = append(append(b, r.trace.Parent...), r.trace.State...)
	}
	return r.event.AppendTo(b)
}

// parseRecord reads a record, which must not change while it is in use.
func parseRecord(b []byte) (r record, err error) {
	if len(b) < recordHead || b[0] != recordVersion && b[0] != tracedVersion {
		return record{}, fmt.Errorf("a record of %d bytes is none that this program has written", len(b))
	}
	r.arrived = time.Unix(0, int64(binary.BigEndian.Uint64(b[1:])))
	r.ttl = binary.BigEndian.Uint32(b[9:])
	rest := b[recordHead:]
	if b[0] == tracedVersion {
		if len(rest) < recordTraceLen {
			return record{}, fmt.Errorf("a record of %d bytes ends before its trace", len(b))
		}
		parent, state := int(rest[0]), int(binary.BigEndian.Uint16(rest[1:]))
		if rest = rest[recordTraceLen:]; parent == 0 || len(rest) < parent+state {
			return record{}, fmt.Errorf("a record of %d bytes has not the trace that it announces", len(b))
		}
		r.trace = TraceContext{string(rest[:parent]), string(rest[parent : parent+state])}
		rest = rest[parent+state:]
	}
	r.event, err = cloudevent.Parse(rest)
	return r, err
}

// clone returns a record with bytes of its own.
func (r *record) clone() *record {
	copied, err := parseRecord(r.appendTo(nil))
	if err != nil {
		panic(err) // it has been parsed before
	}
	return &copied
}
