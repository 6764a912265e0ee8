package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A log that has become too large drops its oldest events, also those that a trigger has not got: they are counted, and the others come in order.
func TestOldestEventsAreDropped(t *testing.T) {
	registry, values := newRegistry()
	told := make(chan string, 10)
	s, url := newServer(t, Config{
		MaxEventBytes: 10_000, MaxLogBytes: 1, // as small as it gets, 1.1 MB
		Registerer: registry, Dropped: func(_ ID, why string) { told <- why },
	})
	newTrigger(t, s, Trigger{Key: "subject"})
	const events = 300
	data := strings.Repeat("x", 10_000)
	for n := range events {
		if status, text := post(t, url, fmt.Sprint(n), "key", data); status != 202 {
			t.Fatal(status, text)
		}
	}
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Key: "subject", Subscriber: sink.URL})
	done(t, s, "trigger")
	got := ids(sink.wait(t, 1))
	if len(got) < 50 || len(got) == events || got[len(got)-1] != strconv.Itoa(events-1) {
		t.Fatalf("%d events, the last one is %s", len(got), got[len(got)-1])
	}
	last := -1
	for _, id := range got {
		n, err := strconv.Atoi(id)
		if err != nil || n <= last {
			t.Fatalf("event %s after %d", id, last)
		}
		last = n
	}
	counted := values(t)
	lost := counted[`sluice_broker_lost_events_total{broker="example-broker",namespace="default",trigger="trigger"}`]
	if want := float64(events - len(got)); lost != want {
		t.Errorf("%v were lost, want %v", lost, want)
	}
	if why := <-told; !strings.HasSuffix(why, " of the broker's events were dropped from its log, or damaged, before they were delivered") {
		t.Error(why)
	}
	if dropped := counted[`sluice_broker_log_dropped_events_total{broker="example-broker",namespace="default"}`]; dropped < lost/2 {
		t.Errorf("%v were dropped, %v lost", dropped, lost)
	}
}

// A trigger whose place is damaged gets all events again that are still there, rather than none.
func TestDamagedPlace(t *testing.T) {
	dir := t.TempDir()
	s, url := newServer(t, Config{Dir: dir})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	for n := range 3 {
		mustPost(t, url, fmt.Sprint(n), "")
	}
	done(t, s, "trigger")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "default", "example-broker", "places", "trigger")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[20] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ = newServer(t, Config{Dir: dir})
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	got := ids(sink.wait(t, 6)[3:])
	slices.Sort(got)
	if !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("again came %v", got)
	}
}
