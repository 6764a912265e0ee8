package otlp

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The few messages that a collector responds with are read here by field number: their Go packages would import gRPC.

// walk calls f for each field of a message that is a varint or has a length, and stops where it is malformed.
func walk(message []byte, f func(num protowire.Number, v uint64, b []byte)) {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(num, typ, message)
		if size < 0 {
			return
		}
		switch typ {
		case protowire.VarintType:
			v, _ := protowire.ConsumeVarint(message)
			f(num, v, nil)
		case protowire.BytesType:
			b, _ := protowire.ConsumeBytes(message)
			f(num, 0, b)
		}
		message = message[size:]
	}
}

// field finds the bytes of a field; nil when there is none.
func field(message []byte, want protowire.Number) (found []byte) {
	walk(message, func(num protowire.Number, _ uint64, b []byte) {
		if num == want {
			found = b
		}
	})
	return found
}

// partial is an error when entries were rejected: field 1 of an Export…ServiceResponse has their number in its field 1 and
// the reason in its field 2, for metrics and traces alike.
func partial(response []byte) error {
	var rejected uint64
	var why string
	walk(field(response, 1), func(num protowire.Number, v uint64, b []byte) {
		switch num {
		case 1:
			rejected = v
		case 2:
			why = string(b)
		}
	})
	if rejected == 0 {
		return nil
	}
	return fmt.Errorf("the collector rejected %d entries: %.200s", rejected, oneLine(why))
}

// pushback is the RetryInfo among the details (field 3, each an Any) of a google.rpc.Status
// (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling); negative when there is none.
func pushback(h http.Header) time.Duration {
	text := strings.TrimRight(h.Get("Grpc-Status-Details-Bin"), "=")
	status, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return -1
	}
	after := time.Duration(-1)
	walk(status, func(num protowire.Number, _ uint64, detail []byte) {
		if num != 3 || !strings.HasSuffix(string(field(detail, 1)), "google.rpc.RetryInfo") {
			return
		}
		after = 0
		walk(field(field(detail, 2), 1), func(num protowire.Number, v uint64, _ []byte) {
			switch {
			case num == 1 && v < 1<<31:
				after += time.Duration(v) * time.Second
			case num == 2 && v < 1e9:
				after += time.Duration(v)
			}
		})
	})
	return after
}
