package broker

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// order checks that a sink gets events of a key in order, one at a time. IDs are KEY-NUMBER.
type order struct {
	mu       sync.Mutex
	inFlight map[string]int
	last     map[string]int // of those that were taken
	first    map[string]int // how many times each event was taken
	faults   []string
}

func newOrder() *order {
	return &order{inFlight: map[string]int{}, last: map[string]int{}, first: map[string]int{}}
}

func split(id string) (key string, n int) {
	key, number, _ := strings.Cut(id, "-")
	n, _ = strconv.Atoi(number)
	return key, n
}

func (o *order) begin(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key, _ := split(id)
	if o.inFlight[key]++; o.inFlight[key] > 1 {
		o.faults = append(o.faults, id+" came while another one of its key was in flight")
	}
}

// end is told whether the event was taken.
func (o *order) end(id string, taken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key, n := split(id)
	o.inFlight[key]--
	if !taken {
		return
	}
	o.first[id]++
	if n > o.last[key]+1 {
		o.faults = append(o.faults, fmt.Sprintf("%s came after %d", id, o.last[key]))
	}
	o.last[key] = max(o.last[key], n)
}

func (o *order) taken(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first[id] > 0
}

func (o *order) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.first)
}

func (o *order) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.faults); n > 0 {
		t.Errorf("%d faults: %q", n, o.faults[:min(n, 10)])
	}
}

var quick = &Delivery{Retry: 1000, Delay: time.Millisecond, Backoff: Linear}

// A sink that fails at random gets the events of each key in order, one at a time.
func TestKeysKeepTheirOrder(t *testing.T) {
	s, url := newServer(t, Config{MaxInFlight: 8})
	o := newOrder()
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		if key := r.Header.Get("Sluice-Key"); key != d.header.Get("Ce-Subject") {
			t.Errorf("Sluice-Key %q of %s", key, d.id())
		}
		o.begin(d.id())
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		taken := rand.IntN(4) > 0
		if o.end(d.id(), taken); !taken {
			w.WriteHeader([]int{404, 408, 409, 429, 500, 503}[rand.IntN(6)])
		}
	})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "subject", Delivery: quick})
	const keys, each = 20, 25
	for n := 1; n <= each; n++ {
		for k := range keys {
			key := fmt.Sprintf("k%d", k)
			mustPost(t, url, fmt.Sprintf("%s-%d", key, n), key)
		}
	}
	done(t, s, "trigger")
	if n := o.count(); n != keys*each {
		t.Errorf("%d of %d events", n, keys*each)
	}
	o.check(t)
}

// An event that isn't answered holds up its own key only, however many events there are behind it, and they all come when it is.
func TestBlockedKeyHoldsUpNoOther(t *testing.T) {
	s, url := newServer(t, Config{MaxInFlight: 4})
	release := make(chan struct{})
	o := newOrder()
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		o.begin(d.id())
		if d.id() == "blocked-1" {
			<-release
		}
		o.end(d.id(), true)
	})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "subject", Delivery: quick})
	// More than its queue holds in memory, so that the log has to be searched.
	many := mostQueued/16 + 500
	o.mu.Lock()
	blocked := 0
	o.mu.Unlock()
	for blocked < many {
		events := make([]string, 0, 100)
		for range 100 {
			blocked++
			events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"blocked-%d","source":"test","type":"test","subject":"blocked"}`, blocked))
		}
		postBatch(t, url, events)
	}
	for i := 1; i <= 100; i++ {
		mustPost(t, url, fmt.Sprintf("free-%d", i), "free")
		mustPost(t, url, fmt.Sprintf("other%d-1", i), fmt.Sprintf("other%d", i))
		mustPost(t, url, fmt.Sprintf("without-%d", i), "")
	}
	eventually(t, "all others are delivered", func() bool { return o.count() == 300 })
	if o.taken("blocked-2") {
		t.Error("an event came before the one that blocks its key")
	}
	close(release)
	done(t, s, "trigger")
	if n := o.count(); n != 300+blocked {
		t.Errorf("%d of %d events", n, 300+blocked)
	}
	if state, _ := s.TriggerState(ID{"default", "trigger"}); state.Keys != 0 {
		t.Errorf("%+v: a key is left", state)
	}
	o.mu.Lock()
	o.faults = slices.DeleteFunc(o.faults, func(f string) bool { return strings.HasPrefix(f, "without") }) // they have no order
	o.mu.Unlock()
	o.check(t)
}

// More keys than may be in flight, whose events are never answered, leave room for others: their retries don't.
func TestHangingKeysLeaveRoom(t *testing.T) {
	s, url := newServer(t, Config{MaxInFlight: 4})
	o := newOrder()
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		if strings.HasPrefix(d.id(), "hangs") {
			<-r.Context().Done()
			return
		}
		o.begin(d.id())
		o.end(d.id(), true)
	})
	delivery := *quick
	delivery.Retry, delivery.Timeout = 1_000_000, 50*time.Millisecond
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "subject", Delivery: &delivery})
	for i := range 20 {
		mustPost(t, url, fmt.Sprintf("hangs%d-1", i), fmt.Sprintf("hangs%d", i))
	}
	for i := range 100 {
		mustPost(t, url, fmt.Sprintf("other%d-1", i), fmt.Sprintf("other%d", i))
	}
	eventually(t, "all others are delivered", func() bool { return o.count() == 100 })
	o.check(t)
}

func postBatch(t testing.TB, url string, events []string) {
	t.Helper()
	response, err := http.Post(url, "application/cloudevents-batch+json", strings.NewReader("["+strings.Join(events, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
}

// With SkipRetries an event that fails goes to the dead letter sink, and its key goes on at once.
func TestKeySkipsWhatFails(t *testing.T) {
	s, url := newServer(t, Config{})
	o := newOrder()
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		o.begin(d.id())
		o.end(d.id(), true)
		if _, n := split(d.id()); n%2 == 0 {
			w.WriteHeader(503)
		}
	})
	letters := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		if sink.mu.Lock(); len(sink.got) < 10 { // the key doesn't wait for the dead letter sink
			w.WriteHeader(500)
		}
		sink.mu.Unlock()
	})
	delivery := *quick
	delivery.DeadLetter = letters.URL
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "subject", SkipRetries: true, Delivery: &delivery})
	for i := 1; i <= 10; i++ {
		mustPost(t, url, fmt.Sprintf("k-%d", i), "k")
	}
	done(t, s, "trigger")
	if got := ids(sink.wait(t, 10)); len(got) != 10 {
		t.Errorf("the subscriber got %v", got)
	}
	got := map[string]bool{}
	for _, d := range letters.wait(t, 5) {
		got[d.id()] = true
	}
	if len(got) != 5 {
		t.Errorf("the dead letter sink got %v", got)
	}
	o.check(t)
}
