package broker

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
)

// Knative data plane specification, "Event Acknowledgement and Delivery Retry".
func TestStatuses(t *testing.T) {
	for status, retried := range map[int]bool{
		200: false, 201: false, 202: false, 204: false, 299: false, 301: false, 302: false, 307: false, 400: false, 401: false, 403: false, 404: true,
		405: false, 408: true, 409: true, 410: false, 413: false, 418: false, 429: true, 499: false, 500: true, 501: true, 502: true, 503: true, 504: true, 599: true,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s, url := newServer(t, Config{})
			sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			})
			letters := newSink(t, nil)
			newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{Retry: 2, DeadLetter: letters.URL}})
			mustPost(t, url, "1", "")
			done(t, s, "trigger")
			attempts, dead := 1, 1
			if status/100 == 2 {
				dead = 0
			}
			if retried {
				attempts = 3
			}
			if got := sink.wait(t, 0); len(got) != attempts {
				t.Errorf("%d attempts, want %d", len(got), attempts)
			}
			if got := letters.wait(t, 0); len(got) != dead {
				t.Errorf("%d dead letters, want %d", len(got), dead)
			}
		})
	}
}

// What a dead letter sink gets (knative.dev/eventing/pkg/kncloudevents): the event, where it could not be delivered, the last response.
func TestDeadLetters(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	long := strings.Repeat("x", 2000)
	answers := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		switch r.URL.Path {
		case "/400":
			w.WriteHeader(400)
			fmt.Fprint(w, "no")
		case "/500":
			w.WriteHeader(500)
			fmt.Fprint(w, long)
		case "/slow":
			<-r.Context().Done()
		case "/reply":
			fmt.Fprint(w, "no event")
		case "/broken":
			w.Header().Set("Ce-Specversion", "1.0")
		}
	})
	for _, c := range []struct{ sink, code, data string }{
		{answers.URL + "/400", "400", "no"},
		{answers.URL + "/500", "500", long[:768]},
		{answers.URL + "/slow", "500", "dispatch error: context deadline exceeded"},
		{"http://" + closed.Addr().String(), "500", "dispatch error: dial tcp"},
		{answers.URL + "/reply", "502", "CloudEvent in binary mode: neither headers ce-*"},
		{answers.URL + "/broken", "502", "CloudEvent in binary mode: header ce-id: is missing"},
	} {
		t.Run(c.sink[strings.LastIndex(c.sink, "/")+1:], func(t *testing.T) {
			s, url := newServer(t, Config{})
			failed := false
			letters := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
				if !failed { // it is retried itself
					failed = true
					w.WriteHeader(503)
				}
			})
			newTrigger(t, s, Trigger{Subscriber: c.sink, Key: "subject", Delivery: &Delivery{Retry: 1, Timeout: 100 * time.Millisecond, DeadLetter: letters.URL}})
			mustPost(t, url, "1", "key")
			got := letters.wait(t, 2)
			done(t, s, "trigger")
			h := got[1].header
			if h.Get("Ce-Knativeerrordest") != c.sink || h.Get("Ce-Knativeerrorcode") != c.code {
				t.Errorf("%v", h)
			}
			if h.Get("Prefer") != "" || h.Get("Sluice-Key") != "key" || h.Get("Ce-Subject") != "key" || got[1].body != "data of 1" {
				t.Errorf("%v %s", h, got[1].body)
			}
			text := h.Get("Ce-Knativeerrordata")
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil || !strings.HasPrefix(string(data), c.data) || len(text) > longestErrorData {
				t.Errorf("knativeerrordata %q, %v", data, err)
			}
		})
	}
}

// A dead letter sink that fails, or isn't there, costs the event, and is counted.
func TestDroppedEventsAreCounted(t *testing.T) {
	registry, values := newRegistry()
	told := make(chan string, 10)
	s, url := newServer(t, Config{Registerer: registry, Dropped: func(trigger ID, why string) { told <- trigger.Name + ": " + why }})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(500) })
	newTrigger(t, s, Trigger{ID: ID{"default", "without"}, Subscriber: sink.URL, Delivery: &Delivery{Retry: 1}})
	newTrigger(t, s, Trigger{ID: ID{"default", "with"}, Subscriber: sink.URL, Delivery: &Delivery{Retry: 1, DeadLetter: sink.URL}})
	mustPost(t, url, "1", "")
	done(t, s, "with")
	done(t, s, "without")
	got := []string{<-told, <-told}
	slices.Sort(got)
	why := ": an event could not be delivered to " + sink.URL + `: status 500, ""`
	if want := []string{"with" + why, "without" + why}; !slices.Equal(got, want) || len(told) > 0 {
		t.Errorf("told of %q, want %q", got, want)
	}
	for series, want := range map[string]float64{
		`sluice_broker_events_total{broker="example-broker",namespace="default",result="accepted"}`:                     1,
		`sluice_broker_dropped_events_total{broker="example-broker",namespace="default",trigger="with"}`:                1,
		`sluice_broker_dropped_events_total{broker="example-broker",namespace="default",trigger="without"}`:             1,
		`sluice_broker_retries_total{broker="example-broker",namespace="default",trigger="with"}`:                       2,
		`sluice_broker_deliveries_total{broker="example-broker",namespace="default",result="failed",trigger="with"}`:    2,
		`sluice_broker_deliveries_total{broker="example-broker",namespace="default",result="failed",trigger="without"}`: 2,
		`sluice_broker_dead_letters_total{broker="example-broker",namespace="default",result="failed",trigger="with"}`:  2,
		`sluice_broker_behind_events{broker="example-broker",namespace="default",trigger="with"}`:                       0,
		`sluice_broker_in_flight{broker="example-broker",namespace="default",trigger="with"}`:                           0,
	} {
		if got, ok := values(t)[series]; !ok || got != want {
			t.Errorf("%s %v %v, want %v", series, got, ok, want)
		}
	}
	if err := s.DeleteTrigger(ID{"default", "with"}); err != nil {
		t.Fatal(err)
	}
	for series := range values(t) {
		if strings.Contains(series, `"with"`) {
			t.Errorf("after the trigger was deleted there is %s", series)
		}
	}
}

// Replies become events of the broker, until the TTL ends. They don't with 202.
func TestReplies(t *testing.T) {
	s, url := newServer(t, Config{})
	replies := newSink(t, nil)
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		h := w.Header()
		h.Set("Ce-Id", "reply to "+d.id())
		h.Set("Ce-Source", "sink")
		h.Set("Ce-Type", "reply")
		h.Set("Ce-Specversion", "1.0")
		h.Set("Ce-Knativebrokerttl", "200") // counts nothing
		if d.id() == "accepted" {
			w.WriteHeader(http.StatusAccepted)
		}
		fmt.Fprint(w, "the answer")
	})
	newTrigger(t, s, Trigger{ID: ID{"default", "replies"}, Subscriber: replies.URL, Filter: Filter{Attributes: map[string]string{"type": "reply"}}})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Filter: Filter{Attributes: map[string]string{"type": "test"}}})
	mustPost(t, url, "accepted", "")
	mustPost(t, url, "1", "")
	got := replies.wait(t, 1)
	if got[0].id() != "reply%20to%201" || got[0].body != "the answer" || got[0].header.Get("Ce-Knativebrokerttl") != "" {
		t.Errorf("%v %s", got[0].header, got[0].body)
	}
	done(t, s, "trigger")
	done(t, s, "replies")
	if n := len(replies.wait(t, 0)); n != 1 {
		t.Errorf("%d replies", n)
	}
}

// An event that each reply causes again ends: with the TTL that it came with, or 255.
func TestLoopsEnd(t *testing.T) {
	s, url := newServer(t, Config{})
	echo := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		for _, name := range []string{"Ce-Id", "Ce-Source", "Ce-Type", "Ce-Specversion"} {
			w.Header().Set(name, r.Header.Get(name))
		}
	})
	letters := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: echo.URL, Delivery: &Delivery{Retry: 5, DeadLetter: letters.URL}})
	mustPost(t, url, "1", "", "Ce-Knativebrokerttl", "5")
	if code := letters.wait(t, 1)[0].header.Get("Ce-Knativeerrorcode"); code != "400" {
		t.Errorf("code %s", code)
	}
	done(t, s, "trigger")
	if n := len(echo.wait(t, 0)); n != 4 {
		t.Errorf("%d rounds", n)
	}
	if status, body := post(t, url, "2", "", "", "Ce-Knativebrokerttl", "1"); status != 400 || !strings.Contains(body, "knativebrokerttl") {
		t.Errorf("%d %s", status, body)
	}
	mustPost(t, url, "3", "")
	letters.wait(t, 2)
	done(t, s, "trigger")
	if n := len(echo.wait(t, 0)); n != 4+255 {
		t.Errorf("%d rounds", n)
	}
}

// Events go to subscriber and dead letter sink in structured mode if the delivery says so, with the fields that are no attributes.
func TestStructuredDelivery(t *testing.T) {
	s, url := newServer(t, Config{})
	failing := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(http.StatusGone) })
	letters := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: failing.URL, Key: "subject", Delivery: &Delivery{Structured: true, DeadLetter: letters.URL}})
	mustPost(t, url, "1", "somebody", "Traceparent", sampledTrace, "Ce-Knativebrokerttl", "7")
	for what, d := range map[string]delivery{"subscriber": failing.wait(t, 1)[0], "dead letter sink": letters.wait(t, 1)[0]} {
		events, err := cloudevent.Read(d.header, []byte(d.body), cloudevent.Limits{})
		if err != nil || len(events) != 1 {
			t.Fatalf("%s: %v, %s", what, err, d.body)
		}
		attributes := maps.Collect(events[0].Attributes())
		if code, ok := attributes["knativeerrorcode"]; ok != (what == "dead letter sink") || ok && code != "410" {
			t.Errorf("%s: the error is %q", what, code)
		}
		for _, name := range []string{"knativeerrorcode", "knativeerrordest", "knativeerrordata"} {
			delete(attributes, name)
		}
		want := map[string]string{
			"specversion": "1.0", "id": "1", "source": "test", "type": "test", "subject": "somebody", "datacontenttype": "text/plain", "traceparent": sampledTrace,
		}
		if !maps.Equal(attributes, want) || string(events[0].Data()) != "data of 1" {
			t.Errorf("%s: %v %q, want %v", what, attributes, events[0].Data(), want)
		}
		if h := d.header; h.Get("Content-Type") != "application/cloudevents+json" || h.Get("Traceparent") != sampledTrace || h.Get("Sluice-Key") != "somebody" ||
			h.Get("Ce-Id") != "" || h.Get("Kn-Namespace") != "default" {
			t.Errorf("%s: %v", what, h)
		}
	}
}

// A reply that is a batch takes more of the TTL, so that a loop in which each event becomes two ends soon, and a batch that is no loop is taken.
func TestLoopsOfBatchesEnd(t *testing.T) {
	registry, values := newRegistry()
	s, url := newServer(t, Config{Registerer: registry})
	doubles := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		w.Header().Set("Content-Type", "application/cloudevents-batch+json")
		event := `{"specversion": "1.0", "type": "` + d.header.Get("Ce-Type") + `", "source": "s", "id": "` + d.id() + `-`
		fmt.Fprint(w, "["+event+`1"},`+event+`2"}]`)
	})
	letters := newSink(t, nil)
	newTrigger(t, s, Trigger{ID: named("doubles"), Subscriber: doubles.URL, Filter: ofType("test"), Delivery: &Delivery{DeadLetter: letters.URL}})
	const rounds = 4 // 2⁴ of them are the last
	mustPost(t, url, "1", "", "Ce-Knativebrokerttl", fmt.Sprint(1+rounds*doubling+1))
	for _, d := range letters.wait(t, 1<<rounds) {
		text, err := base64.StdEncoding.DecodeString(d.header.Get("Ce-Knativeerrordata"))
		if err != nil || d.header.Get("Ce-Knativeerrorcode") != "400" || !strings.Contains(string(text), "the reply of 2 events is dropped") {
			t.Errorf("%v %s", d.header, text)
		}
	}
	done(t, s, "doubles")
	if n := len(doubles.wait(t, 0)); n != 1<<(rounds+1)-1 {
		t.Errorf("%d events", n)
	}
	if got := values(t)[`sluice_broker_deliveries_total{broker="example-broker",namespace="default",result="bad_reply",trigger="doubles"}`]; got != 1<<rounds {
		t.Errorf("%v are counted", got)
	}

	splits := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
		w.Header().Set("Content-Type", "application/cloudevents-batch+json")
		var all []string
		for i := range 1000 {
			all = append(all, fmt.Sprintf(`{"specversion": "1.0", "type": "part", "source": "s", "id": "%d"}`, i))
		}
		fmt.Fprint(w, "["+strings.Join(all, ",")+"]")
	})
	parts := newSink(t, nil)
	newTrigger(t, s, Trigger{ID: named("splits"), Subscriber: splits.URL, Filter: ofType("whole")})
	newTrigger(t, s, Trigger{ID: named("parts"), Subscriber: parts.URL, Filter: ofType("part")})
	mustPost(t, url, "1", "", "Ce-Type", "whole")
	parts.wait(t, 1000)
}

// However a chain of replies goes, it multiplies an event into few, and is no longer than without batches.
func TestRepliesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, total, rounds := record{ttl: defaultTTL}, 1.0, 0
		for {
			n := rapid.IntRange(1, 1<<15).Draw(t, "events of a reply")
			if r.ttl = r.replyTTL(n); r.ttl == 0 {
				break
			}
			total *= float64(n)
			rounds++
		}
		if total > 1<<15 || rounds >= defaultTTL {
			t.Fatalf("%v events after %d rounds", total, rounds)
		}
	})
	if r := (record{ttl: defaultTTL}); r.replyTTL(1) != defaultTTL-1 || r.replyTTL(2) != defaultTTL-doubling || r.replyTTL(1000) != 95 {
		t.Error(r.replyTTL(1), r.replyTTL(2), r.replyTTL(1000))
	}
}

// Delays are those of the specification and at most a tenth longer; Retry-After makes them longer, within its bound.
func TestBackoff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Delivery{
			Delay:         time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "delay")),
			Backoff:       Backoff(rapid.IntRange(0, 1).Draw(t, "backoff")),
			RetryAfterMax: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "max")),
		}
		failed := rapid.IntRange(1, maxRetry).Draw(t, "failed")
		after := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "after"))
		want := float64(d.Delay) * float64(failed)
		if d.Backoff == Exponential {
			want = float64(d.Delay)
			for i := 1; i < failed && want < float64(maxDelay); i++ {
				want *= 2
			}
		}
		want = max(min(want, float64(max(d.Delay, maxDelay))), float64(min(after, d.RetryAfterMax)))
		if got := float64(d.backoff(failed, after)); got < want || got > want*(1+spread)+1 {
			t.Fatalf("%v, want %v", got, want)
		}
	})
	// The notes' example: PT0.2S, exponential, ten retries.
	d := DefaultDelivery()
	if last := d.backoff(10, 0); last < 102400*time.Millisecond || last > 112640*time.Millisecond {
		t.Errorf("the tenth retry comes after %v", last)
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for _, c := range []struct {
			status int
			value  string
			want   time.Duration
		}{
			{503, "3", 3 * time.Second},
			{429, "0", 0},
			{500, "3", 0},
			{503, "-3", 0},
			{503, "x", 0},
			{503, "", 0},
			{503, "99999999999", 0},
			{429, in(5 * time.Second), 5 * time.Second},
			{429, in(-5 * time.Second), 0},
		} {
			if got := retryAfter(c.status, http.Header{"Retry-After": {c.value}}); got != c.want {
				t.Errorf("%d %q: %v, want %v", c.status, c.value, got, c.want)
			}
		}
	})
}

// Attempts come when they are due, over a real schedule with a clock that stands still meanwhile.
func TestRetriesComeWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sched := newSchedule()
		d := DefaultDelivery()
		began := time.Now()
		sched.admit(1, "", false, nil)
		it := sched.take(true)
		var waited []time.Duration
		for it.failed < d.Retry {
			it.failed++
			sched.retry(it, time.Now().Add(d.backoff(it.failed, 0)))
			due := sched.release(time.Now())
			if sched.take(true) != nil {
				t.Fatal("ready before it is due")
			}
			time.Sleep(time.Until(due))
			sched.release(time.Now())
			if it = sched.take(true); it == nil {
				t.Fatal("not ready when it is due")
			}
			waited = append(waited, time.Since(began))
		}
		if last := waited[len(waited)-1]; last < 204600*time.Millisecond || last > 225060*time.Millisecond || !slices.IsSorted(waited) {
			t.Errorf("%v", waited)
		}
	})
}

// A sink that says what it has to say and then stalls doesn't hold up its key.
func TestStatusDecides(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		w.Header().Set("Content-Length", "100")
		status := http.StatusAccepted
		if d.header.Get("Ce-Id") == "2" {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "subject", Delivery: &Delivery{Timeout: time.Hour}})
	for i := range 3 {
		mustPost(t, url, fmt.Sprint(i+1), "key")
	}
	sink.wait(t, 3)
	done(t, s, "trigger")
}
