package broker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

var brokerID = ID{"default", "example-broker"}

// soon bounds waits for what must come.
const soon = time.Minute

// newServer opens a Server with a broker, behind a real socket.
func newServer(t *testing.T, c Config) (s *Server, url string) {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetBroker(Broker{ID: brokerID}); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	t.Cleanup(func() {
		front.Close()
		if err := s.Close(); err != nil && err != ErrClosed {
			t.Error(err)
		}
	})
	return s, front.URL + "/default/example-broker"
}

func newTrigger(t *testing.T, s *Server, trigger Trigger) {
	t.Helper()
	if trigger.Name == "" {
		trigger.ID = ID{"default", "trigger"}
	}
	trigger.Broker = brokerID.Name
	if err := s.SetTrigger(trigger); err != nil {
		t.Fatal(err)
	}
}

// post sends an event in binary mode and returns the status and the body of the response.
func post(t testing.TB, url, id, subject, data string, fields ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Ce-Id": {id}, "Ce-Source": {"test"}, "Ce-Type": {"test"}, "Ce-Specversion": {"1.0"}, "Content-Type": {"text/plain"},
	}
	if subject != "" {
		r.Header.Set("Ce-Subject", subject)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header[http.CanonicalHeaderKey(fields[i])] = []string{fields[i+1]}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func mustPost(t testing.TB, url, id, subject string, fields ...string) {
	t.Helper()
	if status, body := post(t, url, id, subject, "data of "+id, fields...); status != http.StatusAccepted {
		t.Fatalf("event %s: %d %s", id, status, body)
	}
}

// delivery is a request that a sink has got.
type delivery struct {
	header http.Header
	body   string
}

func (d delivery) id() string { return d.header.Get("Ce-Id") }

// sink is a server that records what it gets.
type sink struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, d delivery) // nil: 200

	mu   sync.Mutex
	got  []delivery
	wake chan struct{} // closed when got grows
}

func newSink(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, d delivery)) *sink {
	s := &sink{answer: answer, wake: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d := delivery{r.Header, string(body)}
	s.mu.Lock()
	s.got = append(s.got, d)
	close(s.wake)
	s.wake = make(chan struct{})
	s.mu.Unlock()
	if s.answer != nil {
		s.answer(w, r, d)
	}
}

// wait returns what the sink has got when there are n deliveries.
func (s *sink) wait(t testing.TB, n int) []delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for {
		s.mu.Lock()
		got, wake := s.got, s.wake
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-wake:
		case <-ctx.Done():
			t.Fatalf("%d deliveries, want %d", len(got), n)
		}
	}
}

func ids(all []delivery) (got []string) {
	for _, d := range all {
		got = append(got, d.id())
	}
	return got
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came: " + what)
		}
	}
}

// done waits until a trigger is done with all events.
func done(t testing.TB, s *Server, name string) {
	t.Helper()
	eventually(t, "the trigger "+name+" is done", func() bool {
		state, ok := s.TriggerState(ID{"default", name})
		return ok && state.Behind == 0 && state.InFlight == 0
	})
}

func TestEventsAreDelivered(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	mustPost(t, url, "before", "")
	newTrigger(t, s, Trigger{Subscriber: sink.URL + "/events?x=1"})
	newTrigger(t, s, Trigger{ID: ID{"default", "other"}, Subscriber: sink.URL, Filter: Filter{Attributes: map[string]string{"type": "other"}}})
	mustPost(t, url, "1", "somebody", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Ce-Umlaut", "%C3%A4")
	got := sink.wait(t, 1)[0]
	for name, want := range map[string]string{
		"Ce-Id": "1", "Ce-Source": "test", "Ce-Type": "test", "Ce-Specversion": "1.0", "Ce-Subject": "somebody", "Ce-Umlaut": "%C3%A4",
		"Content-Type": "text/plain", "Content-Length": "", "Prefer": "reply", "Kn-Namespace": "default", "Sluice-Key": "",
		"Ce-Knativebrokerttl": "", "Idempotency-Key": "",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Ce-Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if name != "Content-Length" && got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	if got.body != "data of 1" {
		t.Errorf("body %q", got.body)
	}
	for i := 2; i <= 50; i++ {
		mustPost(t, url, fmt.Sprint(i), "")
	}
	sink.wait(t, 50)
	done(t, s, "trigger")
	done(t, s, "other")
	if n := len(sink.wait(t, 0)); n != 50 {
		t.Errorf("%d deliveries", n)
	}
}
