package broker

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// record is an event as a broker's log has it: when it came, how many brokers it may still pass, and the event.
//
//	0  1  version: 1
//	1  8  when it came, in nanoseconds since 1970
//	9  4  how many times an event that replies to it may be taken
//	13    the event, as package cloudevent stores it
type record struct {
	arrived time.Time
	ttl     uint32
	event   cloudevent.Event
}

const (
	recordVersion = 1
	recordHead    = 13
)

// ttlAttribute bounds loops of events that triggers reply with: each broker that takes an event lowers it, and events begin with
// defaultTTL (knative.dev/eventing/pkg/broker/ttl.go, and cmd/broker/ingress). It isn't delivered.
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

func (r *record) appendTo(b []byte) []byte {
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(r.arrived.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, r.ttl)
	return r.event.AppendTo(b)
}

// parseRecord reads a record, which must not change while it is in use.
func parseRecord(b []byte) (r record, err error) {
	if len(b) < recordHead || b[0] != recordVersion {
		return record{}, fmt.Errorf("a record of %d bytes is none that this program has written", len(b))
	}
	r.arrived = time.Unix(0, int64(binary.BigEndian.Uint64(b[1:])))
	r.ttl = binary.BigEndian.Uint32(b[9:])
	r.event, err = cloudevent.Parse(b[recordHead:])
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
