package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhatIngressAnswers(t *testing.T) {
	registry, values := newRegistry()
	s, url := newServer(t, Config{MaxEventBytes: 1000, Registerer: registry})
	root := strings.TrimSuffix(url, "/default/example-broker")
	binary := http.Header{"Ce-Id": {"1"}, "Ce-Source": {"s"}, "Ce-Type": {"t"}, "Ce-Specversion": {"1.0"}}
	with := func(fields ...string) http.Header {
		h := binary.Clone()
		for i := 0; i < len(fields); i += 2 {
			h[fields[i]] = []string{fields[i+1]}
		}
		return h
	}
	kind := func(kind string) http.Header { return http.Header{"Content-Type": {kind}} }
	for _, c := range []struct {
		name, method, url string
		header            http.Header
		body              string
		status            int
		text              string
	}{
		{"binary", "POST", url, binary, "data", 202, ""},
		{"path with a slash", "POST", url + "/", binary, "data", 202, ""},
		{"structured", "POST", url, kind("application/cloudevents+json"), `{"specversion":"1.0","id":"1","source":"s","type":"t"}`, 202, ""},
		{"empty batch", "POST", url, kind("application/cloudevents-batch+json"), `[]`, 202, ""},
		{"options", "OPTIONS", url, nil, "", 200, ""},
		{"get", "GET", url, nil, "", 405, "POST"},
		{"put", "PUT", url, binary, "data", 405, "POST"},
		{"root", "POST", root + "/", binary, "data", 404, "/NAMESPACE/BROKER"},
		{"short path", "POST", root + "/default", binary, "data", 400, "/NAMESPACE/BROKER"},
		{"long path", "POST", url + "/more", binary, "data", 400, "/NAMESPACE/BROKER"},
		{"other broker", "POST", root + "/default/other", binary, "data", 404, "there is no broker default/other"},
		{"no id", "POST", url, with("Ce-Id", ""), "data", 400, "ce-id"},
		{"no event", "POST", url, nil, "data", 400, "neither headers ce-*"},
		{"other format", "POST", url, kind("application/cloudevents+avro"), "data", 415, "JSON"},
		{"too large", "POST", url, binary, strings.Repeat("x", 1001), 413, "1000 bytes"},
		{"largest", "POST", url, binary, strings.Repeat("x", 1000), 202, ""},
		{"traceparent", "POST", url, with("Traceparent", "\xff"), "data", 202, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				var body io.Reader = strings.NewReader(c.body)
				if chunked {
					body = io.MultiReader(body)
				}
				r, err := http.NewRequest(c.method, c.url, body)
				if err != nil {
					t.Fatal(err)
				}
				r.Header = c.header.Clone()
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != c.status || !strings.Contains(string(text), c.text) {
					t.Errorf("%d %q %v, want %d %q", response.StatusCode, text, err, c.status, c.text)
				}
				if allow := response.Header.Get("Allow"); (c.status == 200 || c.status == 405) && allow != "POST, OPTIONS" {
					t.Errorf("Allow: %s", allow)
				}
			}
		})
	}
	counted := values(t)
	for result, want := range map[string]float64{"accepted": 10, "invalid": 6, "too_large": 2} {
		if got := counted[`sluice_broker_events_total{broker="example-broker",namespace="default",result="`+result+`"}`]; got != want {
			t.Errorf("%s: %v, want %v", result, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, url, "1", "", ""); status != 503 || !strings.Contains(text, "closed") {
		t.Errorf("after Close: %d %s", status, text)
	}
}

// A trigger goes on where it was after a restart, also one that failed or is blocked; what nobody sets waits until DeleteUnset.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s, url := newServer(t, Config{Dir: dir})
	fails := true
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		if fails && d.id() == "2" {
			w.WriteHeader(500)
		}
	})
	trigger := Trigger{ID: ID{"default", "t"}, Subscriber: sink.URL, Key: "subject", Delivery: &Delivery{Retry: 1000, Delay: time.Hour}}
	newTrigger(t, s, trigger)
	newTrigger(t, s, Trigger{ID: ID{"default", "unresolved"}})
	newTrigger(t, s, Trigger{ID: ID{"default", "forgotten"}})
	for i := 1; i <= 4; i++ {
		mustPost(t, url, fmt.Sprint(i), fmt.Sprint("key", i%2))
	}
	sink.wait(t, 3) // 1, 3, and 2, which fails; 4 has its key
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "default", "example-broker", "places", "forgotten")); err != nil {
		t.Fatal(err)
	}
	fails = false
	s, url = newServer(t, Config{Dir: dir})
	newTrigger(t, s, trigger)
	mustPost(t, url, "5", "key5")
	got := ids(sink.wait(t, 6)[3:])
	done(t, s, "t")
	if len(got) != 3 || slices.Index(got, "2") > slices.Index(got, "4") || !slices.Contains(got, "5") {
		t.Errorf("after the restart the sink got %v", got)
	}
	other := newSink(t, nil)
	newTrigger(t, s, Trigger{ID: ID{"default", "unresolved"}, Subscriber: other.URL})
	other.wait(t, 5)
	if err := s.DeleteUnset(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "default", "example-broker", "places", "forgotten")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	// One that is made again begins with what comes then.
	again := newSink(t, nil)
	newTrigger(t, s, Trigger{ID: ID{"default", "forgotten"}, Subscriber: again.URL})
	mustPost(t, url, "6", "")
	if got := ids(again.wait(t, 1)); got[0] != "6" {
		t.Errorf("a new trigger got %v", got)
	}
}

// What was not delivered stays when a broker ends and begins, also when it has long been in the log.
func TestRestartKeepsOldEvents(t *testing.T) {
	c := Config{Dir: t.TempDir(), MaxEventBytes: 10_000, MaxLogBytes: 1 << 20} // segments of 276 KB
	data := strings.Repeat("x", 10_000)
	const events = 80
	for i := range 4 {
		s, url := newServer(t, c)
		newTrigger(t, s, Trigger{})
		newTrigger(t, s, Trigger{ID: ID{"default", "other"}, Filter: Filter{Attributes: map[string]string{"type": "other"}}})
		for n := range events / 4 {
			if status, text := post(t, url, fmt.Sprint(i*events/4+n), "", data); status != 202 {
				t.Fatal(status, text)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := newServer(t, c)
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	got := map[string]bool{}
	for _, d := range sink.wait(t, events) {
		got[d.id()] = true
	}
	if len(got) != events {
		t.Errorf("%d of %d events", len(got), events)
	}
	// What is done is deleted, all but the last segment.
	done(t, s, "trigger")
	newTrigger(t, s, Trigger{ID: ID{"default", "other"}, Subscriber: sink.URL, Filter: Filter{Attributes: map[string]string{"type": "other"}}})
	st, err := s.stream(brokerID)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log is trimmed", func() bool { return st.log.Stats().Segments == 1 })
}

// DeleteUnset deletes brokers that nobody sets, and nothing that isn't one.
func TestDeleteUnset(t *testing.T) {
	dir := t.TempDir()
	s, _ := newServer(t, Config{Dir: dir})
	if err := s.SetBroker(Broker{ID: ID{"shop", "gone"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	others := []string{"shop/other/log/file", "shop/file", "file", "shop/gone2/log/x", "shop/gone2/places/x", "shop/gone2/more/x"}
	for _, name := range others {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s, _ = newServer(t, Config{Dir: dir})
	if err := s.DeleteUnset(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "shop", "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, name := range append(others, "default/example-broker/places") {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if s, err := Open(Config{Dir: filepath.Join(dir, "none")}); err != nil || s.DeleteUnset() != nil || s.Close() != nil {
		t.Error("an empty directory")
	}
}

// What is set can be changed: the subscriber at once, a filter for what was not delivered yet.
func TestChanges(t *testing.T) {
	s, url := newServer(t, Config{})
	release := make(chan struct{})
	first := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) { <-release })
	second := newSink(t, nil)
	trigger := Trigger{ID: ID{"default", "t"}, Subscriber: first.URL, Key: "subject"}
	newTrigger(t, s, trigger)
	mustPost(t, url, "1", "a")
	mustPost(t, url, "2", "a")
	mustPost(t, url, "3", "b", "Ce-Type", "other")
	first.wait(t, 2)
	trigger.Subscriber = second.URL
	trigger.Filter = Filter{Filters: []Expression{{Exact: map[string]string{"type": "other"}}}}
	newTrigger(t, s, trigger)
	mustPost(t, url, "4", "a")
	mustPost(t, url, "5", "b", "Ce-Type", "other")
	close(release)
	second.wait(t, 1)
	done(t, s, "t")
	if got := ids(second.wait(t, 0)); !slices.Equal(got, []string{"5"}) {
		t.Errorf("the new subscriber got %v", got)
	}
	if got := ids(first.wait(t, 0)); len(got) != 2 {
		t.Errorf("the old subscriber got %v", got)
	}
	// A broker's delivery is that of triggers without one.
	letters := newSink(t, nil)
	failing := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(400) })
	newTrigger(t, s, Trigger{ID: ID{"default", "failing"}, Subscriber: failing.URL})
	if err := s.SetBroker(Broker{ID: brokerID, Delivery: &Delivery{DeadLetter: letters.URL}}); err != nil {
		t.Fatal(err)
	}
	mustPost(t, url, "6", "")
	letters.wait(t, 1)
	// A deleted broker takes its events with it; its triggers begin anew.
	if err := s.DeleteBroker(brokerID); err != nil {
		t.Fatal(err)
	}
	if status, _ := post(t, url, "7", "", ""); status != 404 {
		t.Errorf("status %d of a deleted broker", status)
	}
	if err := s.SetBroker(Broker{ID: brokerID, Delivery: &Delivery{DeadLetter: letters.URL}}); err != nil {
		t.Fatal(err)
	}
	mustPost(t, url, "8", "")
	if got := ids(letters.wait(t, 2)); got[1] != "8" {
		t.Errorf("dead letters %v", got)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	s, _ := newServer(t, Config{})
	good := Trigger{ID: ID{"default", "t"}, Broker: "b"}
	for want, change := range map[string]func(*Trigger){
		"metadata.name":                        func(t *Trigger) { t.Name = "../x" },
		"metadata.namespace":                   func(t *Trigger) { t.Namespace = "" },
		"spec.broker":                          func(t *Trigger) { t.Broker = "" },
		"spec.subscriber":                      func(t *Trigger) { t.Subscriber = "localhost:80" },
		"spec.filter.attributes":               func(t *Trigger) { t.Filter.Attributes = map[string]string{"No": "x"} },
		"spec.filters[0].exact":                func(t *Trigger) { t.Filter.Filters = []Expression{{Exact: map[string]string{"No": "x"}}} },
		"metadata.annotations[sluice.dev/key]": func(t *Trigger) { t.Key = "subject ++ 1" },
		"spec.delivery.retry":                  func(t *Trigger) { t.Delivery = &Delivery{Retry: -1} },
		"spec.delivery.backoffPolicy":          func(t *Trigger) { t.Delivery = &Delivery{Backoff: 2} },
		"spec.delivery.backoffDelay":           func(t *Trigger) { t.Delivery = &Delivery{Delay: -1} },
		"spec.delivery.timeout":                func(t *Trigger) { t.Delivery = &Delivery{Timeout: -1} },
		"spec.delivery.retryAfterMax":          func(t *Trigger) { t.Delivery = &Delivery{RetryAfterMax: -1} },
		"spec.delivery.deadLetterSink":         func(t *Trigger) { t.Delivery = &Delivery{DeadLetter: "ftp://x"} },
	} {
		bad := good
		change(&bad)
		if err := s.SetTrigger(bad); err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("a Server without a directory")
	}
	if err := ValidateKey("a b"); err == nil {
		t.Error("a wrong key")
	}
}

// Bodies that nobody finishes take no more than their bound, and others are told to come again.
func TestBodiesAreBounded(t *testing.T) {
	_, url := newServer(t, Config{MaxEventBytes: 1000, MaxBodyBytes: 1500})
	addr := strings.TrimPrefix(url, "http://")
	addr = addr[:strings.Index(addr, "/")]
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /default/example-broker HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	long := strings.Repeat("x", 1000)
	eventually(t, "the bound is reached", func() bool {
		status, text := post(t, url, "1", "", long)
		return status == 503 && strings.Contains(text, "again later")
	})
	mustPost(t, url, "2", "")
	conn.Close()
	eventually(t, "there is room again", func() bool {
		status, _ := post(t, url, "3", "", long)
		return status == 202
	})
}

// Senders that announce much and send nothing leave room for others.
func TestStalledBodiesLeaveRoom(t *testing.T) {
	s, url := newServer(t, Config{MaxBodyBytes: 2 << 20})
	addr := strings.TrimPrefix(url, "http://")
	addr = addr[:strings.Index(addr, "/")]
	for range 100 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /default/example-broker HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	}
	eventually(t, "all bodies are being read", func() bool { return s.bodies.Load() == 100*firstRead })
	if status, text := post(t, url, "1", "", strings.Repeat("x", 1_000_000)); status != 202 {
		t.Error(status, text)
	}
}
