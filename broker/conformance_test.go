package broker

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/contracttest"
)

// The statements of Knative's specification, by their numbers in docs/events.md, that no other test shows.
func TestConformance(t *testing.T) {
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "D1", Test: testPlainHTTP},
		{Says: "D2", Test: testUnknownNegotiation},
		{Says: "D3", Test: testModesOfRequests},
		{Says: "D4", Test: testModesOfReplies},
		{Says: "D5", Test: testSinksGetPOST},
		{Says: "D10", Test: testAcceptedIsOnDisk},
		{Says: "D11", Test: testStatusesOfNobody},
		{Says: "D13", Test: testInterimResponses},
		{Says: "D17", Test: testDuplicates},
		{Says: "D21", Test: testCongestionControl},
		{Says: "D23", Test: testPreferReply},
		{Says: "D25", Test: testUnaskedReply},
		{Says: "C3", Test: testTriggersAreOfOneBroker},
		{Says: "C25", Test: testEachTriggerOnce},
		{Says: "C27", Test: testOneDeliveryForEachMatch},
		{Says: "C28", Test: testDataIsUnchanged},
		{Says: "C29", Test: testRepliesAreDurable},
		{Says: "C30", Test: testRepliesGoToAllTriggers},
		{Says: "C34", Test: testRetriesFollowTheDelivery},
		{Says: "C37", Test: testDeadLetterSink},
		{Says: "C43", Test: testDeliveryIsReplaced},
		{Says: "C46", Test: testAttributesOfFilters},
		{Says: "B9", Test: testDefaultDelivery},
		{Says: "B13", Test: testVersionsStay},
		{Says: "B15", Test: testMethods},
		{Says: "B17", Test: testInvalidEvents},
		{Says: "B18", Test: testAttributesAreUnchanged},
		{Says: "B23", Test: testMalformedReplies},
		{Says: "B27", Test: testTraceOfEventsAndReplies},
	})
}

// sendText sends a request, and returns the status line of the response.
func sendText(t *testing.T, url, text string) string {
	t.Helper()
	addr, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// postJSON sends a body of a media type and returns the status.
func postJSON(t *testing.T, url, kind, body string) int {
	t.Helper()
	response, err := http.Post(url, kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// replyWith has a sink respond with an event in binary mode.
func replyWith(w http.ResponseWriter, id, kind string) {
	h := w.Header()
	h.Set("Ce-Id", id)
	h.Set("Ce-Source", "sink")
	h.Set("Ce-Type", kind)
	h.Set("Ce-Specversion", "1.0")
	h.Set("Content-Type", "text/plain")
}

func ofType(kind string) Filter { return Filter{Attributes: map[string]string{"type": kind}} }

func named(name string) ID { return ID{"default", name} }

// Fields in any case, values percent-encoded or with spaces around, chunks with extensions and a trailer.
func testPlainHTTP(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	got := sendText(t, url, "POST /default/example-broker HTTP/1.1\nHost: x\ncE-iD:   Euro%20%E2%82%AC  \nCE-SOURCE: /s\nce-type: t\nce-specversion: 1.0\n"+
		"transfer-encoding: chunked\ntrailer: x\n\n3;a=b\nabc\n2\nde\n0\nx: y\n\n")
	if got != "HTTP/1.1 202 Accepted" {
		t.Fatal(got)
	}
	d := sink.wait(t, 1)[0]
	if d.id() != "Euro%20%E2%82%AC" || d.body != "abcde" {
		t.Errorf("%v %q", d.header, d.body)
	}
}

func testUnknownNegotiation(t *testing.T) {
	_, url := newServer(t, Config{})
	for _, fields := range []string{
		"Connection: Upgrade\nUpgrade: h2c\n", "Connection: upgrade, x\nUpgrade: websocket, future/7\nX: 1\n", "Accept-Post: a/b\nTE: future\nPrefer: future=1\n",
	} {
		got := sendText(t, url, "POST /default/example-broker HTTP/1.1\nHost: x\nCe-Id: 1\nCe-Source: s\nCe-Type: t\nCe-Specversion: 1.0\n"+fields+"Content-Length: 0\n\n")
		if got != "HTTP/1.1 202 Accepted" {
			t.Errorf("%q: %s", fields, got)
		}
	}
}

func testModesOfRequests(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "source"}) // in order
	mustPost(t, url, "1", "somebody")
	structured := `{"specversion":"1.0","id":"1","source":"test","type":"test","subject":"somebody","datacontenttype":"text/plain","data":"data of 1"}`
	if status := postJSON(t, url, "application/cloudevents+json; charset=utf-8", structured); status != 202 {
		t.Fatal(status)
	}
	got := sink.wait(t, 2)
	for _, h := range []http.Header{got[0].header, got[1].header} {
		h.Del("Accept-Encoding")
	}
	if fmt.Sprint(got[0]) != fmt.Sprint(got[1]) {
		t.Errorf("binary mode:\n%v\nstructured mode:\n%v", got[0], got[1])
	}
}

func testModesOfReplies(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		if d.id() == "binary" {
			replyWith(w, "r-binary", "reply")
			fmt.Fprint(w, "the reply")
			return
		}
		w.Header().Set("Content-Type", "application/cloudevents+json")
		fmt.Fprint(w, `{"specversion":"1.0","id":"r-structured","source":"sink","type":"reply","datacontenttype":"text/plain","data":"the reply"}`)
	})
	replies := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Filter: ofType("test")})
	newTrigger(t, s, Trigger{ID: named("replies"), Subscriber: replies.URL, Filter: ofType("reply")})
	mustPost(t, url, "binary", "")
	mustPost(t, url, "structured", "")
	got := ids(replies.wait(t, 2))
	slices.Sort(got)
	if !slices.Equal(got, []string{"r-binary", "r-structured"}) {
		t.Error(got)
	}
	for _, d := range replies.wait(t, 2) {
		if d.body != "the reply" {
			t.Errorf("%s: %q", d.id(), d.body)
		}
	}
}

// A sink sees POST alone: one that wouldn't answer OPTIONS gets its event.
func testSinksGetPOST(t *testing.T) {
	s, url := newServer(t, Config{})
	methods := make(chan string, 10)
	sink := newSink(t, func(w http.ResponseWriter, r *http.Request, d delivery) {
		methods <- r.Method
		if r.Method != http.MethodPost || d.header.Get("Ce-Specversion") != "1.0" {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
	letters := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{DeadLetter: letters.URL}})
	mustPost(t, url, "1", "")
	done(t, s, "trigger")
	if len(methods) != 1 || <-methods != http.MethodPost || len(letters.wait(t, 0)) != 0 {
		t.Errorf("%v, %v", sink.wait(t, 0), letters.wait(t, 0))
	}
}

// What a directory has when 202 has come is enough to deliver the event.
func testAcceptedIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	s, url := newServer(t, Config{Dir: dir})
	newTrigger(t, s, Trigger{}) // its subscriber is not known yet
	for i := range 10 {
		id := fmt.Sprint(i)
		mustPost(t, url, id, "")
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		other, _ := newServer(t, Config{Dir: copied})
		sink := newSink(t, nil)
		newTrigger(t, other, Trigger{Subscriber: sink.URL})
		sink.wait(t, i+1)
		done(t, other, "trigger")
		if got := ids(sink.wait(t, 0)); !slices.Contains(got, id) || len(got) != i+1 {
			t.Errorf("after 202 for %s there are %v", id, got)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Statuses that no table has.
func testStatusesOfNobody(t *testing.T) {
	for _, status := range []int{600, 799, 999} {
		s, url := newServer(t, Config{})
		failed := false
		sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
			if !failed {
				failed = true
				w.WriteHeader(status)
			}
		})
		newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{Retry: 1}})
		mustPost(t, url, "1", "")
		sink.wait(t, 2)
	}
}

// Interim responses are passed over; 101, which nobody has asked for, is a failure without a retry, and keeps nobody waiting.
func testInterimResponses(t *testing.T) {
	s, url := newServer(t, Config{Grace: -1})
	release := make(chan struct{})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		switch d.id() {
		case "interim":
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusNoContent)
		case "switching":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: future\r\n\r\n")
			<-release
		}
	})
	defer close(release)
	letters := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{Retry: 3, Timeout: time.Second, DeadLetter: letters.URL}})
	mustPost(t, url, "interim", "")
	mustPost(t, url, "switching", "")
	if d := letters.wait(t, 1)[0]; d.id() != "switching" || d.header.Get("Ce-Knativeerrorcode") != "101" {
		t.Errorf("%v", d.header)
	}
	done(t, s, "trigger")
	if got := sink.wait(t, 0); len(got) != 2 {
		t.Errorf("%v", ids(got))
	}
}

func testDuplicates(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	mustPost(t, url, "same", "")
	mustPost(t, url, "same", "")
	if got := ids(sink.wait(t, 2)); !slices.Equal(got, []string{"same", "same"}) {
		t.Error(got)
	}
}

// Each attempt waits longer than the one before, and a trigger sends no more at once than its bound.
func testCongestionControl(t *testing.T) {
	const most, events, delay = 3, 12, 20 * time.Millisecond
	s, url := newServer(t, Config{MaxInFlight: most})
	var mu sync.Mutex
	at := map[string][]time.Time{}
	busy, busiest := 0, 0
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		mu.Lock()
		at[d.id()] = append(at[d.id()], time.Now())
		busy++
		busiest = max(busiest, busy)
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		busy--
		mu.Unlock()
		w.WriteHeader(http.StatusTooManyRequests)
	})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{Retry: 3, Delay: delay}})
	for i := range events {
		mustPost(t, url, fmt.Sprint(i), "")
	}
	done(t, s, "trigger")
	mu.Lock()
	defer mu.Unlock()
	if busiest > most || len(at) != events {
		t.Errorf("%d at once, %d events", busiest, len(at))
	}
	for id, times := range at {
		if len(times) != 4 {
			t.Fatalf("event %s: %d attempts", id, len(times))
		}
		for i := range 3 {
			if pause := times[i+1].Sub(times[i]); pause < delay<<i {
				t.Errorf("event %s: retry %d came after %v", id, i+1, pause)
			}
		}
	}
}

// A subscriber is told in each attempt that a reply is wanted; a dead letter sink isn't, as its replies aren't read.
func testPreferReply(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(500) })
	letters := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{Retry: 1, DeadLetter: letters.URL}})
	mustPost(t, url, "1", "")
	letters.wait(t, 1)
	for _, d := range sink.wait(t, 2) {
		if got := d.header["Prefer"]; !slices.Equal(got, []string{"reply"}) {
			t.Errorf("a subscriber got Prefer: %v", got)
		}
	}
	if got := letters.wait(t, 1)[0].header["Prefer"]; got != nil {
		t.Errorf("a dead letter sink got Prefer: %v", got)
	}
}

func testUnaskedReply(t *testing.T) {
	s, url := newServer(t, Config{})
	failing := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(400) })
	letters := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { replyWith(w, "unasked", "reply") })
	replies := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: failing.URL, Filter: ofType("test"), Delivery: &Delivery{Retry: 2, DeadLetter: letters.URL}})
	newTrigger(t, s, Trigger{ID: named("replies"), Subscriber: replies.URL, Filter: ofType("reply")})
	mustPost(t, url, "1", "")
	letters.wait(t, 1)
	done(t, s, "trigger")
	done(t, s, "replies")
	if n, m := len(letters.wait(t, 0)), len(replies.wait(t, 0)); n != 1 || m != 0 {
		t.Errorf("%d attempts, %d replies", n, m)
	}
}

// A trigger gets the events of the broker of its namespace that it names, and those of no other one.
func testTriggersAreOfOneBroker(t *testing.T) {
	s, url := newServer(t, Config{})
	root := strings.TrimSuffix(url, "/default/example-broker")
	sink := newSink(t, nil)
	set := func(id ID) {
		if err := s.SetBroker(Broker{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	set(ID{"default", "before"})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "source"})
	set(ID{"default", "after"})
	set(ID{"shop", "example-broker"})
	for _, path := range []string{"/default/before", "/default/after", "/shop/example-broker"} {
		mustPost(t, root+path, path, "")
	}
	mustPost(t, url, "own", "")
	sink.wait(t, 1)
	done(t, s, "trigger")
	if got := ids(sink.wait(t, 0)); !slices.Equal(got, []string{"own"}) {
		t.Error(got)
	}
}

// A trigger sees an event once, also across a restart.
func testEachTriggerOnce(t *testing.T) {
	dir := t.TempDir()
	s, url := newServer(t, Config{Dir: dir})
	sink := newSink(t, nil)
	trigger := Trigger{Subscriber: sink.URL, Key: "subject"}
	newTrigger(t, s, trigger)
	for i := range 20 {
		mustPost(t, url, fmt.Sprint(i), "")
	}
	done(t, s, "trigger")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, url = newServer(t, Config{Dir: dir})
	newTrigger(t, s, trigger)
	mustPost(t, url, "last", "")
	sink.wait(t, 21)
	done(t, s, "trigger")
	if got := ids(sink.wait(t, 0)); len(got) != 21 {
		t.Errorf("%v", got)
	}
}

func testOneDeliveryForEachMatch(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	for _, name := range []string{"a", "b", "c"} {
		newTrigger(t, s, Trigger{ID: named(name), Subscriber: sink.URL, Filter: ofType("test")})
	}
	newTrigger(t, s, Trigger{ID: named("d"), Subscriber: sink.URL, Filter: ofType("other")})
	mustPost(t, url, "1", "")
	for _, name := range []string{"a", "b", "c", "d"} {
		done(t, s, name)
	}
	if got := sink.wait(t, 0); len(got) != 3 {
		t.Errorf("%d deliveries", len(got))
	}
}

// Data comes as it was sent: bytes that are no text, JSON with its spaces and order, and base64 decoded.
func testDataIsUnchanged(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "source"})
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	odd := "{ \"b\" : 1.0,\n\t\"a\":\"\\u00e4\",\"big\":12345678901234567890 }"
	structured := func(data string) string {
		return `{"specversion":"1.0","id":"1","source":"test","type":"test",` + data + `}`
	}
	encoded, err := json.Marshal(every) // in base64
	if err != nil {
		t.Fatal(err)
	}
	post(t, url, "1", "", string(every))
	post(t, url, "1", "", odd, "Content-Type", "application/json")
	postJSON(t, url, "application/cloudevents+json", structured(`"data":`+odd))
	postJSON(t, url, "application/cloudevents+json", structured(`"data_base64":`+string(encoded)))
	got := sink.wait(t, 4)
	for i, want := range []string{string(every), odd, odd, string(every)} {
		if got[i].body != want {
			t.Errorf("%d: %q, want %q", i, got[i].body, want)
		}
	}
}

func testRepliesAreDurable(t *testing.T) {
	dir := t.TempDir()
	s, url := newServer(t, Config{Dir: dir})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { replyWith(w, "reply", "reply") })
	waits := Trigger{ID: named("replies"), Filter: ofType("reply")}
	newTrigger(t, s, waits)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Filter: ofType("test")})
	mustPost(t, url, "1", "")
	sink.wait(t, 1)
	done(t, s, "trigger")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = newServer(t, Config{Dir: dir})
	replies := newSink(t, nil)
	waits.Subscriber = replies.URL
	newTrigger(t, s, waits)
	if got := ids(replies.wait(t, 1)); got[0] != "reply" {
		t.Error(got)
	}
}

// A reply goes to all triggers that want it, that of its subscriber too.
func testRepliesGoToAllTriggers(t *testing.T) {
	s, url := newServer(t, Config{})
	origin := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		if d.id() == "1" {
			replyWith(w, "reply", "reply")
		}
	})
	other := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: origin.URL})
	newTrigger(t, s, Trigger{ID: named("other"), Subscriber: other.URL, Filter: ofType("reply")})
	mustPost(t, url, "1", "")
	if got := ids(origin.wait(t, 2)); !slices.Equal(got, []string{"1", "reply"}) {
		t.Error(got)
	}
	other.wait(t, 1)
}

// As many retries as the delivery says, after delays that double, or grow by the first one.
func testRetriesFollowTheDelivery(t *testing.T) {
	const delay = 30 * time.Millisecond
	for policy, factors := range map[Backoff][]time.Duration{Exponential: {1, 2, 4}, Linear: {1, 2, 3}} {
		s, url := newServer(t, Config{})
		var times []time.Time
		sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
			times = append(times, time.Now())
			w.WriteHeader(503)
		})
		newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{Retry: len(factors), Backoff: policy, Delay: delay}})
		mustPost(t, url, "1", "")
		done(t, s, "trigger")
		if len(times) != 1+len(factors) {
			t.Fatalf("policy %d: %d attempts", policy, len(times))
		}
		for i, factor := range factors {
			if pause := times[i+1].Sub(times[i]); pause < factor*delay {
				t.Errorf("policy %d: retry %d came after %v", policy, i+1, pause)
			}
		}
	}
}

// What can't be delivered goes to the dead letter sink, with as many retries as to the subscriber, and if that fails it is dropped.
func testDeadLetterSink(t *testing.T) {
	registry, values := newRegistry()
	s, url := newServer(t, Config{Registerer: registry})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(500) })
	letters := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		if d.id() == "dropped" {
			w.WriteHeader(500)
		}
	})
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "source", Delivery: &Delivery{Retry: 2, DeadLetter: letters.URL}})
	mustPost(t, url, "taken", "")
	mustPost(t, url, "dropped", "")
	done(t, s, "trigger")
	if got := ids(sink.wait(t, 0)); !slices.Equal(got, []string{"taken", "taken", "taken", "dropped", "dropped", "dropped"}) {
		t.Errorf("the subscriber got %v", got)
	}
	if got := ids(letters.wait(t, 0)); !slices.Equal(got, []string{"taken", "dropped", "dropped", "dropped"}) {
		t.Errorf("the dead letter sink got %v", got)
	}
	if got := values(t)[`sluice_broker_dropped_events_total{broker="example-broker",namespace="default",trigger="trigger"}`]; got != 1 {
		t.Errorf("%v events are counted as dropped", got)
	}
}

// A trigger with any delivery has nothing of its broker's.
func testDeliveryIsReplaced(t *testing.T) {
	s, url := newServer(t, Config{})
	letters := newSink(t, nil)
	if err := s.SetBroker(Broker{ID: brokerID, Delivery: &Delivery{Retry: 2, DeadLetter: letters.URL}}); err != nil {
		t.Fatal(err)
	}
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) { w.WriteHeader(500) })
	other := newSink(t, sink.answer)
	newTrigger(t, s, Trigger{ID: named("own"), Subscriber: sink.URL, Delivery: &Delivery{Timeout: time.Minute}})
	newTrigger(t, s, Trigger{ID: named("none"), Subscriber: other.URL})
	mustPost(t, url, "1", "")
	letters.wait(t, 1)
	done(t, s, "own")
	done(t, s, "none")
	if own, none, dead := len(sink.wait(t, 0)), len(other.wait(t, 0)), len(letters.wait(t, 0)); own != 1 || none != 3 || dead != 1 {
		t.Errorf("%d attempts with a delivery, %d without; %d dead letters", own, none, dead)
	}
}

// All attributes of a filter have to be there with their exact values; an empty value is any.
func testAttributesOfFilters(t *testing.T) {
	s, url := newServer(t, Config{})
	sinks := map[string]*sink{}
	for name, attributes := range map[string]map[string]string{
		"none": {}, "exact": {"type": "test"}, "case": {"type": "Test"}, "any": {"subject": ""}, "all": {"type": "test", "subject": "a"}, "extension": {"shop": "1"},
	} {
		sinks[name] = newSink(t, nil)
		newTrigger(t, s, Trigger{ID: named(name), Subscriber: sinks[name].URL, Filter: Filter{Attributes: attributes}})
	}
	mustPost(t, url, "plain", "")
	mustPost(t, url, "a", "a")
	mustPost(t, url, "b", "b", "Ce-Shop", "1")
	for name, want := range map[string][]string{
		"none": {"a", "b", "plain"}, "exact": {"a", "b", "plain"}, "case": nil, "any": {"a", "b"}, "all": {"a"}, "extension": {"b"},
	} {
		done(t, s, name)
		got := ids(sinks[name].wait(t, 0))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("filter %s: %v, want %v", name, got, want)
		}
	}
}

// Without any delivery there are retries: Knative's installation has them, too.
func testDefaultDelivery(t *testing.T) {
	s, url := newServer(t, Config{})
	failed := false
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
		if !failed {
			failed = true
			w.WriteHeader(500)
		}
	})
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	mustPost(t, url, "1", "")
	sink.wait(t, 2)
}

func testVersionsStay(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Key: "source"})
	mustPost(t, url, "1", "", "Ce-Specversion", "0.3", "Ce-Schemaurl", "http://schema")
	mustPost(t, url, "2", "")
	if status := postJSON(t, url, "application/cloudevents+json", `{"specversion":"0.3","id":"3","source":"test","type":"test","schemaurl":"http://schema"}`); status != 202 {
		t.Fatal(status)
	}
	got := sink.wait(t, 3)
	for i, want := range []string{"0.3", "1.0", "0.3"} {
		if version := got[i].header.Get("Ce-Specversion"); version != want {
			t.Errorf("event %s: version %s", got[i].id(), version)
		}
	}
	if got[0].header.Get("Ce-Schemaurl") != "http://schema" || got[2].header.Get("Ce-Schemaurl") != "http://schema" {
		t.Errorf("%v", got)
	}
}

func testMethods(t *testing.T) {
	_, url := newServer(t, Config{})
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} {
		r, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Ce-Id": {"1"}, "Ce-Source": {"s"}, "Ce-Type": {"t"}, "Ce-Specversion": {"1.0"}}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, response.StatusCode)
		}
	}
}

func testInvalidEvents(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	for _, body := range []string{
		``, `{`, `[]`, `null`, `{"specversion":"1.0","source":"s","type":"t"}`, `{"specversion":"1.0","id":"1","type":"t"}`,
		`{"specversion":"1.0","id":"1","source":"s"}`, `{"id":"1","source":"s","type":"t"}`, `{"specversion":"2.0","id":"1","source":"s","type":"t"}`,
		`{"specversion":"1.0","id":"","source":"s","type":"t"}`, `{"specversion":"1.0","id":"1","source":"s","type":"t","Upper":"x"}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"t","time":"yesterday"}`, `{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"%"}`,
	} {
		if status := postJSON(t, url, "application/cloudevents+json", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d", body, status)
		}
	}
	for _, field := range []string{"Ce-Id", "Ce-Source", "Ce-Type", "Ce-Specversion"} {
		if status, _ := post(t, url, "1", "", "", field, ""); status != http.StatusBadRequest {
			t.Errorf("empty %s: %d", field, status)
		}
	}
	done(t, s, "trigger")
	if got := sink.wait(t, 0); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func testAttributesAreUnchanged(t *testing.T) {
	s, url := newServer(t, Config{})
	sink := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL})
	fields := map[string]string{
		"Ce-Time": "2018-04-05T17:31:00.120+01:00", "Ce-Source": "https://a/b?c=d#e", "Ce-Dataschema": "HTTP://Example.com/%7Ex", "Ce-Extension1": "01",
		"Ce-Umlaut": "%C3%A4%20%25%22", "Content-Type": `Text/Plain; charset="utf-8"`,
	}
	var flat []string
	for name, value := range fields {
		flat = append(flat, name, value)
	}
	mustPost(t, url, "1", "", flat...)
	got := sink.wait(t, 1)[0].header
	for name, want := range fields {
		if want == "HTTP://Example.com/%7Ex" {
			want = "HTTP://Example.com/~x" // one round of decoding: HTTP binding §3.1.3.2
		}
		if got.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Get(name), want)
		}
	}
	for name := range got {
		if _, sent := fields[name]; strings.HasPrefix(name, "Ce-") && !sent && !slices.Contains([]string{"Ce-Id", "Ce-Type", "Ce-Specversion"}, name) {
			t.Errorf("%s was added: %s", name, got.Get(name))
		}
	}
}

func testMalformedReplies(t *testing.T) {
	for name, malformed := range map[string]func(w http.ResponseWriter){
		"no event": func(w http.ResponseWriter) { fmt.Fprint(w, "thanks") },
		"no id":    func(w http.ResponseWriter) { replyWith(w, "", "reply") },
		"broken JSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/cloudevents+json")
			fmt.Fprint(w, "{")
		},
		"too long":        func(w http.ResponseWriter) { replyWith(w, "r", "reply"); _, _ = w.Write(make([]byte, 2000)) },
		"unknown version": func(w http.ResponseWriter) { replyWith(w, "r", "reply"); w.Header().Set("Ce-Specversion", "9") },
	} {
		t.Run(name, func(t *testing.T) {
			s, url := newServer(t, Config{MaxEventBytes: 1000})
			failed := false
			sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, _ delivery) {
				if !failed {
					failed = true
					malformed(w)
				}
			})
			newTrigger(t, s, Trigger{Subscriber: sink.URL, Delivery: &Delivery{Retry: 1}})
			mustPost(t, url, "1", "")
			sink.wait(t, 2)
		})
	}
}

// The trace of an event is that of what sinks get, and of a reply that has none of its own.
func testTraceOfEventsAndReplies(t *testing.T) {
	const trace, other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-11111111111111111111111111111111-2222222222222222-01"
	s, url := newServer(t, Config{})
	sink := newSink(t, func(w http.ResponseWriter, _ *http.Request, d delivery) {
		replyWith(w, "reply", "reply")
		if d.id() == "2" {
			w.Header().Set("Ce-Traceparent", other)
		}
	})
	replies := newSink(t, nil)
	newTrigger(t, s, Trigger{Subscriber: sink.URL, Filter: ofType("test"), Key: "source"})
	newTrigger(t, s, Trigger{ID: named("replies"), Subscriber: replies.URL, Filter: ofType("reply"), Key: "source"})
	mustPost(t, url, "1", "", "Ce-Traceparent", trace, "Ce-Tracestate", "a=b")
	mustPost(t, url, "2", "", "Ce-Traceparent", trace)
	for _, d := range sink.wait(t, 2) {
		if d.header.Get("Ce-Traceparent") != trace || d.header.Get("Traceparent") != trace {
			t.Errorf("event %s: %v", d.id(), d.header)
		}
	}
	got := replies.wait(t, 2)
	if h := got[0].header; h.Get("Ce-Traceparent") != trace || h.Get("Ce-Tracestate") != "a=b" {
		t.Errorf("the reply has %q, %q, and the event %q", h.Get("Ce-Traceparent"), h.Get("Ce-Tracestate"), trace)
	}
	if h := got[1].header; h.Get("Ce-Traceparent") != other || h.Get("Ce-Tracestate") != "" {
		t.Errorf("the reply with a trace of its own has %q", h.Get("Ce-Traceparent"))
	}
}
