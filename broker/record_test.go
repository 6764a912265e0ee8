package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Any bytes are a record that is written as it was read, or an error.
func FuzzParseRecord(f *testing.F) {
	event, err := cloudevent.New(map[string]string{"specversion": "1.0", "id": "1", "source": "s", "type": "t"}, []byte("data"))
	if err != nil {
		f.Fatal(err)
	}
	r := record{arrived: time.Unix(1, 2), ttl: 3, event: event}
	f.Add(r.appendTo(nil))
	r.trace = TraceContext{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "a=b"}
	f.Add(r.appendTo(nil))
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := parseRecord(content)
		if err != nil {
			return
		}
		if again := r.appendTo(nil); !bytes.Equal(again, content) {
			t.Errorf("%x is written as %x", content, again)
		}
		if copied := r.clone(); copied.ttl != r.ttl || copied.trace != r.trace || !copied.arrived.Equal(r.arrived) || !bytes.Equal(copied.event.Data(), r.event.Data()) {
			t.Errorf("the copy of %x differs", content)
		}
	})
}
