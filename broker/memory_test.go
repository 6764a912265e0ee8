package broker

import (
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// A key that is blocked for 100 000 events takes no memory for most of them: a number for a few thousand, and a bit for each.
func TestMemoryOfABlockedKey(t *testing.T) {
	s, _ := newServer(t, Config{Grace: -1})
	release := make(chan struct{})
	defer close(release)
	sink := newSink(t, func(_ http.ResponseWriter, r *http.Request, _ delivery) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "subject"})
	st, err := s.stream(brokerID)
	if err != nil {
		t.Fatal(err)
	}
	event, err := cloudevent.New(map[string]string{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "blocked"}, make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]record, 1000)
	for i := range batch {
		batch[i] = record{arrived: time.Now(), ttl: defaultTTL, event: event}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // for what pools hold
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const batches = 100
	var before uint64
	for i := range batches {
		if i == 5 {
			before = heap()
		}
		if err := st.append(t.Context(), batch...); err != nil {
			t.Fatal(err)
		}
	}
	d := st.dispatchers["trigger"]
	eventually(t, "all events are looked at", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.next == batches*1000+1
	})
	if after := heap(); after > before+2<<20 {
		t.Errorf("the heap has grown by %d bytes", after-before)
	}
	if state, _ := s.TriggerState(ID{"default", "trigger"}); state.Keys != 1 || state.InFlight != 1 || state.Behind != batches*1000 {
		t.Errorf("%+v", state)
	}
}
