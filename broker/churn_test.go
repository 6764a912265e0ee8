package broker

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Triggers that are slow, fail, and change their keys, filters and deliveries while events come get each event that they want.
func TestTriggersChangeUnderLoad(t *testing.T) {
	s, url := newServer(t, Config{MaxInFlight: 3})
	const triggers, senders, each = 10, 4, 50
	var mu sync.Mutex
	got := map[string]bool{} // trigger and event
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		if rand.IntN(8) == 0 {
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		}
		if rand.IntN(5) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path+" "+d.id()] = true
	})
	set := func(i int) {
		trigger := Trigger{ID: ID{"default", fmt.Sprint("t", i)}, Subscriber: fmt.Sprintf("%s/%d", sink.URL, i), Delivery: quick}
		if i%2 == 0 {
			trigger.Filter.Attributes = map[string]string{"type": "test"}
		}
		// The same events in another way: what is known of them is built again.
		switch rand.IntN(4) {
		case 0:
			trigger.Key = "subject"
		case 1:
			trigger.Key = "type"
		case 2:
			trigger.Filter.Filters = []Expression{{Prefix: map[string]string{"type": "te"}}}
		}
		newTrigger(t, s, trigger)
	}
	for i := range triggers {
		set(i)
	}
	var sending sync.WaitGroup
	for k := range senders {
		sending.Go(func() {
			for n := range each {
				mustPost(t, url, fmt.Sprintf("%d-%d", k, n), fmt.Sprint("key", rand.IntN(5)))
			}
		})
	}
	sent := make(chan struct{})
	go func() {
		sending.Wait()
		close(sent)
	}()
	for changing := true; changing; {
		select {
		case <-sent:
			changing = false
		case <-time.After(time.Millisecond):
			set(rand.IntN(triggers))
		}
	}
	for i := range triggers {
		done(t, s, fmt.Sprint("t", i))
	}
	mu.Lock()
	defer mu.Unlock()
	if want := triggers * senders * each; len(got) != want {
		t.Errorf("%d of %d deliveries", len(got), want)
	}
}
