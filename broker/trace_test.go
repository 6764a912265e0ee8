package broker

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// spans is a Tracer that keeps them. It numbers them, and records those whose parent is sampled or that have none.
type spans struct {
	mu    sync.Mutex
	last  int
	ended map[string]*ended // by their traceparent
}

type ended struct {
	of               *spans
	sent             bool
	name, parent, at string
	failed           string
	attributes       map[string]string
}

func (s *spans) Receive(name string, parent TraceContext) (TraceContext, Span) {
	return s.start(false, name, parent)
}

func (s *spans) Send(name string, parent TraceContext) (TraceContext, Span) {
	return s.start(true, name, parent)
}

func (s *spans) start(sent bool, name string, parent TraceContext) (TraceContext, Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	trace := strings.Repeat("a", 32)
	if parent.Parent != "" {
		if trace = parent.Parent[3:35]; !strings.HasSuffix(parent.Parent, "1") {
			return parent, nil
		}
	}
	s.last++
	at := fmt.Sprintf("00-%s-%016x-01", trace, s.last)
	return TraceContext{at, parent.State}, &ended{of: s, sent: sent, name: name, parent: parent.Parent, at: at}
}

func (e *ended) End(failed string, attributes []Attribute) {
	e.failed, e.attributes = failed, map[string]string{}
	for _, a := range attributes {
		e.attributes[a.Name] = a.Text
		if a.Text == "" {
			e.attributes[a.Name] = fmt.Sprint(a.Number)
		}
	}
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	if e.of.ended == nil {
		e.of.ended = map[string]*ended{}
	}
	e.of.ended[e.at] = e
}

// path returns the names of a span and of those that it comes from, the latest first, and the traceparent of the first one's parent.
func (s *spans) path(at string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for s.ended[at] != nil {
		names = append(names, s.ended[at].name)
		at = s.ended[at].parent
	}
	return strings.Join(append(names, at), " < ")
}

func (s *spans) wait(t *testing.T, n int) []*ended {
	t.Helper()
	var all []*ended
	eventually(t, fmt.Sprint(n, " spans"), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		all = slices.SortedFunc(maps.Values(s.ended), func(a, b *ended) int { return strings.Compare(a.at, b.at) })
		return len(all) >= n
	})
	return all
}

const (
	sampledTrace   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	otherTrace     = "00-11111111111111111111111111111111-2222222222222222-01"
	unsampledTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// Each attempt has a span below that of the event's receipt, whose parent is the request's trace, or else the event's; so has a dead letter. A
// subscriber, a dead letter sink and a reply are below the attempt; the attributes stay those of the trace's start. All of this lasts in the log.
func TestSpansOfEvents(t *testing.T) {
	const receive, send, replies, dead = "receive broker:example-broker.default", "send trigger:trigger.default", "send trigger:replies.default", "dead-letter trigger:trigger.default"
	made := &spans{}
	dir := t.TempDir()
	s, url := newServer(t, Config{Dir: dir, Tracer: made})
	newTrigger(t, s, Trigger{Key: "source", Filter: ofType("test")}) // without a subscriber: events wait
	mustPost(t, url, "in-header", "", "Traceparent", sampledTrace, "Tracestate", "a=b")
	mustPost(t, url, "in-both", "", "Traceparent", sampledTrace, "Ce-Traceparent", otherTrace)
	mustPost(t, url, "in-event", "", "Ce-Traceparent", otherTrace)
	mustPost(t, url, "without", "")
	mustPost(t, url, "unsampled", "", "Traceparent", unsampledTrace)
	mustPost(t, url, "malformed", "", "Traceparent", "00-x", "Ce-Traceparent", otherTrace)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, _ = newServer(t, Config{Dir: dir, Tracer: made})
	failing := true
	subscriber := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		switch {
		case d.id() == "in-header" && failing:
			failing = false // keyed: one at a time
			w.WriteHeader(http.StatusServiceUnavailable)
		case d.id() == "in-both":
			w.WriteHeader(http.StatusGone)
		case d.id() == "in-event":
			replyWith(w, "reply", "reply")
		}
	})
	replied, letters := newSink(t, nil), newSink(t, nil)
	newTrigger(t, s, Trigger{ID: named("replies"), Subscriber: replied.URL, Filter: ofType("reply")})
	newTrigger(t, s, Trigger{Key: "source", Filter: ofType("test"), Subscriber: subscriber.URL, Delivery: &Delivery{Retry: 1, DeadLetter: letters.URL}})
	for i, want := range []struct{ id, path, state, attribute string }{
		{"in-header", send + " < " + receive + " < " + sampledTrace, "a=b", sampledTrace},
		{"in-header", send + " < " + receive + " < " + sampledTrace, "a=b", sampledTrace},
		{"in-both", send + " < " + receive + " < " + sampledTrace, "", otherTrace},
		{"in-event", send + " < " + receive + " < " + otherTrace, "", otherTrace},
		{"without", send + " < " + receive + " < ", "", ""},
		{"unsampled", unsampledTrace, "", unsampledTrace},
		{"malformed", send + " < " + receive + " < " + otherTrace, "", otherTrace},
	} {
		d := subscriber.wait(t, i+1)[i]
		made.wait(t, 0)
		eventually(t, "the path of "+want.id+": "+want.path, func() bool { return made.path(d.header.Get("Traceparent")) == want.path })
		if d.id() != want.id || d.header.Get("Tracestate") != want.state || d.header.Get("Ce-Traceparent") != want.attribute {
			t.Errorf("delivery %d, of %s: %v", i, want.id, d.header)
		}
	}
	answer := replied.wait(t, 1)[0].header
	const below = receive + " < " + send + " < " + receive + " < " + otherTrace
	eventually(t, "the reply's path", func() bool { return made.path(answer.Get("Traceparent")) == replies+" < "+below })
	if got := made.path(answer.Get("Ce-Traceparent")); got != strings.TrimPrefix(below, receive+" < ") {
		t.Errorf("the reply's attribute is of %s", got)
	}
	letter := letters.wait(t, 1)[0].header
	eventually(t, "the dead letter's path", func() bool { return made.path(letter.Get("Traceparent")) == dead+" < "+receive+" < "+sampledTrace })

	retried, failed := 0, 0
	for _, span := range made.wait(t, 0) {
		if n := span.attributes["http.request.resend_count"]; n == "1" {
			retried++
		}
		if span.failed != "" {
			failed++
			if status := span.attributes["http.response.status_code"]; status != "503" && status != "410" || span.attributes["error.type"] != status {
				t.Errorf("a failed attempt: %v", span)
			}
		}
		if span.sent != (span.attributes["messaging.operation.type"] == "send") || span.sent != (span.attributes["url.full"] != "") {
			t.Errorf("the attributes of %v", span)
		}
		if id := span.attributes["cloudevents.event_id"]; id == "" || id != span.attributes["messaging.message.id"] || span.attributes["cloudevents.event_type"] == "" {
			t.Errorf("the event of %v", span)
		}
	}
	if retried != 1 || failed != 2 {
		t.Errorf("%d spans of retries and %d of failures, want 1 and 2", retried, failed)
	}
}

// An event that isn't taken has a span that says why, and what is sent without spans has the trace that it came with.
func TestSpansOfEventsThatAreNotTaken(t *testing.T) {
	made := &spans{}
	_, url := newServer(t, Config{Tracer: made})
	if status, _ := post(t, url, "1", "", "", "Ce-Knativebrokerttl", "1"); status != http.StatusBadRequest {
		t.Errorf("status %d", status)
	}
	if span := made.wait(t, 1)[0]; span.failed != "invalid" || span.attributes["error.type"] != "invalid" || span.sent {
		t.Errorf("%v", span)
	}
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	mustPost(t, url, "1", "", "Traceparent", sampledTrace, "Ce-Traceparent", otherTrace, "Tracestate", strings.Repeat("a", longestState+1))
	if h := sink.wait(t, 1)[0].header; h.Get("Traceparent") != sampledTrace || h.Get("Ce-Traceparent") != otherTrace || h.Get("Tracestate") != "" {
		t.Errorf("%v", h)
	}
}
