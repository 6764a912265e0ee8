package player

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/cloudevent"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// world is a player, and a broker in front of it that sends each event back to it.
type world struct {
	t      *testing.T
	server *server
	url    string
	broker *httptest.Server
	seen   chan http.Header // of what the broker gets
	status int              // of the broker's responses
}

func newWorld(t *testing.T, c config) *world {
	t.Helper()
	w := &world{t: t, seen: make(chan http.Header, 1000), status: http.StatusAccepted}
	w.broker = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.seen <- r.Header.Clone()
		if w.status != http.StatusAccepted {
			http.Error(rw, "there is no broker", w.status)
			return
		}
		back, err := http.NewRequestWithContext(r.Context(), http.MethodPost, w.url, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		back.Header = r.Header.Clone()
		back.Header.Set(knative.HeaderKeyEpoch, "7")
		resp, err := http.DefaultClient.Do(back)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		rw.WriteHeader(resp.StatusCode)
	}))
	c.broker = w.broker.URL + "/default/example-broker"
	ended := make(chan struct{})
	w.server = newServer(c, ended)
	player := httptest.NewServer(w.server.handler())
	w.url = player.URL + "/"
	t.Cleanup(func() {
		close(ended)
		w.broker.Close()
		player.Close()
		w.server.client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
	})
	return w
}

// do sends a request, whose header has the lines "name: value", and returns status and body.
func (w *world) do(method, path, body string, header ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (w *world) messages(query string) []message {
	w.t.Helper()
	var all []message
	if _, text := w.do(http.MethodGet, "messages"+query, ""); json.Unmarshal([]byte(text), &all) != nil {
		w.t.Fatal(text)
	}
	return all
}

func binary(more ...string) []string {
	return append([]string{"Ce-Specversion: 1.0", "Ce-Id: 1", "Ce-Source: /s", "Ce-Type: t"}, more...)
}

const (
	structured = "Content-Type: application/cloudevents+json"
	batched    = "Content-Type: application/cloudevents-batch+json"
	object     = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
)

func TestAPI(t *testing.T) {
	large := strings.Repeat("x", mostBody+1)
	for _, test := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		text                     string // in the body
		kinds                    string // in the feed afterwards, newest first
	}{
		{"receive binary", "POST", "", `{"a":1}`, binary("Content-Type: application/json"), 202, "", "RECEIVED"},
		{"receive structured", "POST", "", object, []string{structured}, 202, "", "RECEIVED"},
		{"receive a batch", "POST", "", "[" + object + "," + object + "]", []string{batched}, 202, "", "RECEIVED RECEIVED"},
		{"receive an empty batch", "POST", "", "[]", []string{batched}, 202, "", ""},
		{"receive what is no event", "POST", "", "{}", []string{"Content-Type: application/json"}, 400, "neither headers ce-*", ""},
		{"receive without an id", "POST", "", "", []string{"Ce-Specversion: 1.0", "Ce-Type: t", "Ce-Source: s"}, 400, "header ce-id: is missing", ""},
		{"receive a bad batch", "POST", "", "[" + object + ",{}]", []string{batched}, 400, "specversion", ""},
		{"receive another format", "POST", "", "x", []string{"Content-Type: application/cloudevents+avro"}, 415, "JSON is the one format", ""},
		{"receive too much", "POST", "", large, binary(), 413, "too large", ""},
		{"receive too many attributes", "POST", "", "", append(binary(), many(300)...), 413, "256", ""},
		{"send binary", "POST", "messages", `{"a":1}`, binary("Content-Type: application/json"), 202, "", "SENT RECEIVED"},
		{"send structured", "POST", "messages", object, []string{structured}, 202, "", "SENT RECEIVED"},
		{"send a batch", "POST", "messages", "[" + object + "," + object + "]", []string{batched}, 202, "", "SENT RECEIVED SENT RECEIVED"},
		{"send what is no event", "POST", "messages", "{}", []string{"Content-Type: application/json"}, 400, "neither headers ce-*", ""},
		{"from another site", "POST", "", "", binary("Sec-Fetch-Site: cross-site"), 403, "", ""},
		{"send from another site", "POST", "send", "do=send", []string{"Sec-Fetch-Site: cross-site", "Content-Type: application/x-www-form-urlencoded"}, 403, "", ""},
		{"list pages", "GET", "messages?page=-1&size=500", "", nil, 400, `page should be from 0 to 200, is "-1"`, ""},
		{"no such path", "POST", "other", "", binary(), 404, "", ""},
		{"no such method", "PUT", "", "", nil, 405, "", ""},
		{"another ID", "POST", "send", "do=loop&type=a%26b", []string{"Content-Type: application/x-www-form-urlencoded"}, 200, `name="type" value="a&amp;b"`, ""},
		{"the form's page again", "GET", "send", "", nil, 200, "Create event", ""},
		{"a form too large", "POST", "send", "data=" + strings.Repeat("x", mostForm), []string{"Content-Type: application/x-www-form-urlencoded"}, 400, "too large", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, config{})
			status, text := w.do(test.method, test.path, test.body, test.header...)
			if status != test.status || !strings.Contains(text, test.text) {
				t.Errorf("%d %q", status, text)
			}
			var kinds []string
			for _, m := range w.messages("") {
				kinds = append(kinds, string(m.Type))
			}
			if got := strings.Join(kinds, " "); got != test.kinds {
				t.Errorf("feed: %s", got)
			}
		})
	}
}

func many(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("Ce-X%d: y", i))
	}
	return lines
}

func (w *world) submit(f url.Values) (int, string) {
	w.t.Helper()
	return w.do(http.MethodPost, "send", f.Encode(), "Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin")
}

// The form sends what its fields say, keeps them, and says what is wrong.
func TestForm(t *testing.T) {
	w := newWorld(t, config{instance: "pod-1", extensions: map[string]string{"team": "a"}})
	fields := url.Values{
		"do": {"send"}, "id": {"id-1"}, "type": {"order"}, "source": {"/shop"}, "subject": {"Ö 1"},
		"extension": {"customer", "", "note"}, "value": {"42", "dropped", "a b"}, "data": {"{\r\n\"n\": 1}"},
	}
	status, text := w.submit(fields)
	for _, want := range []string{"sent id-1", `name="subject" value="Ö 1"`, `value="customer"`, `value="42"`, "<textarea name=\"data\" rows=\"5\">\n{\n&#34;n&#34;: 1}</textarea>", "by pod-1", "key epoch 7"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing: %s", want, text)
		}
	}
	if status != http.StatusOK || strings.Contains(text, `name="id" value="id-1"`) || strings.Contains(text, "dropped") {
		t.Errorf("%d %s", status, text)
	}
	h := <-w.seen
	for name, want := range map[string]string{
		"Ce-Id": "id-1", "Ce-Type": "order", "Ce-Source": "/shop", "Ce-Subject": "%C3%96%201", "Ce-Specversion": "1.0",
		"Ce-Customer": "42", "Ce-Note": "a%20b", "Ce-Team": "a", "Content-Type": "application/json",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	all := w.messages("?size=1&page=1")
	if len(all) != 1 || all[0].Type != received || all[0].ID != "id-1" || all[0].Subject != "Ö 1" || all[0].Extensions["customer"] != "42" ||
		all[0].Instance != "pod-1" || all[0].KeyEpoch != "7" || fmt.Sprint(all[0].Data) != "map[n:1]" {
		t.Errorf("%+v", all)
	}
	for name, want := range map[string]string{
		"id": "is empty", "type": "is empty", "source": "is empty",
	} {
		bad := url.Values{"id": {"1"}, "type": {"t"}, "source": {"/s"}}
		bad.Set(name, "")
		if status, text := w.submit(bad); status != http.StatusBadRequest || !strings.Contains(text, `<p class="bad" role="status">`) || !strings.Contains(text, want) {
			t.Errorf("no %s: %d %s", name, status, text)
		}
	}
	for want, more := range map[string]url.Values{
		"data should be JSON": {"data": {"{"}},
		"extension &#34;id&#34;: the event has such an attribute": {"extension": {"id"}, "value": {"2"}},
		"letters a to z": {"extension": {"My-Name"}, "value": {"2"}},
	} {
		bad := url.Values{"id": {"1"}, "type": {"t"}, "source": {"/s"}}
		for name, values := range more {
			bad[name] = values
		}
		if status, text := w.submit(bad); status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", want, status, text)
		}
	}
	if len(w.messages("")) != 2 {
		t.Error("a bad form has sent something")
	}
	w.status = http.StatusNotFound
	if status, text := w.submit(fields); status != http.StatusBadGateway || strings.Count(text, "404 Not Found: there is no broker") != 2 || !strings.Contains(text, `<li class="failed">`) {
		t.Errorf("%d %s", status, text)
	}
	w.broker.Close()
	if status, _ := w.do(http.MethodPost, "messages", "", binary()...); status != http.StatusBadGateway || w.messages("")[0].Type != failed {
		t.Errorf("%d", status)
	}
	if status, text := w.submit(url.Values{"do": {"clear"}}); status != http.StatusOK || len(w.messages("")) != 0 || strings.Contains(text, "<li ") {
		t.Errorf("%d %s", status, text)
	}
}

// With PLAYER_REPLY a received event is answered by one that says where it was.
func TestReply(t *testing.T) {
	w := newWorld(t, config{instance: "pod-1", reply: "seen"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, strings.NewReader("data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range binary("Content-Type: text/plain", "Ce-Subject: k", knative.HeaderKeyEpoch+": 12") {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	events, err := cloudevent.Read(resp.Header, body, cloudevent.Limits{})
	if err != nil || resp.StatusCode != http.StatusOK || len(events) != 1 || string(events[0].Data()) != "data" {
		t.Fatalf("%d %v %v", resp.StatusCode, events, err)
	}
	for name, want := range map[string]string{"type": "seen", "subject": "k", "instance": "pod-1", "keyepoch": "12", "datacontenttype": "text/plain"} {
		if got, _ := events[0].Attribute(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// No field of an event ends its element, its attribute or its message.
func TestHostileFieldsAreText(t *testing.T) {
	const evil = `"'><script>alert(1)</script><!--&lt;`
	w := newWorld(t, config{instance: evil})
	if status, text := w.do(http.MethodPost, "", "\x00\x1b]\xff\r"+evil+"\n\ndata: x\r\n</pre>\u2028", binary("Content-Type: text/plain",
		"Ce-Subject: "+url.PathEscape(evil), "Ce-Ext: "+url.PathEscape(evil), knative.HeaderKeyEpoch+": "+evil)...); status != http.StatusAccepted {
		t.Fatal(text)
	}
	_, page := w.do(http.MethodGet, "", "")
	_, form := w.submit(url.Values{"id": {evil}, "type": {evil}, "source": {evil}, "extension": {evil}, "value": {evil}, "data": {"</textarea>" + evil}})
	stream := w.open("events")
	list := stream.next()
	for name, text := range map[string]string{"page": page, "form": form, "stream": list.data} {
		for _, bad := range []string{"<script>alert", `"'>`, "<!--", "\x00", "\x1b", "\r", "\xff", "\n</pre>", "</textarea>\"", "&lt;`", "key epoch"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q: %s", name, bad, text)
			}
		}
		if name != "form" && !strings.Contains(text, "&#34;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!--&amp;lt;\n\ndata: x\n&lt;/pre&gt;") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if list.kind != "list" || strings.Count(list.data, "<li ") != 1 {
		t.Errorf("%+v", list)
	}
}

// Every response has the policy that lets the page run its own script alone.
func TestPolicy(t *testing.T) {
	w := newWorld(t, config{})
	for _, path := range []string{"", "player.js", "player.css", "messages", "none"} {
		resp, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		h := resp.Header
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
	_, page := w.do(http.MethodGet, "", "")
	for _, inline := range []string{"<script>", "<style>", " style=", " onclick=", "javascript:", "http://fonts", "https://"} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %s, which the policy forbids", inline)
		}
	}
}

// stream is a reader of /events.
type stream struct {
	t     *testing.T
	lines *bufio.Reader
	close func()
}

type sse struct{ id, kind, data string }

func (w *world) open(path string, header ...string) *stream {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%s", resp.Status)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	return &stream{w.t, bufio.NewReader(resp.Body), func() { _ = resp.Body.Close() }}
}

// next reads a message as browsers do: lines of one field add up, and comments don't count.
func (s *stream) next() (m sse) {
	s.t.Helper()
	var data []string
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			m.id = value
		case "event":
			m.kind = value
		case "data":
			data = append(data, value)
		case "":
			if m.id != "" {
				m.data = strings.Join(data, "\n")
				return m
			}
		}
	}
}

// A stream goes on where the page or the browser has stopped, and replaces what no longer fits.
func TestStream(t *testing.T) {
	w := newWorld(t, config{})
	receive := func(id string) {
		w.do(http.MethodPost, "", "", "Ce-Specversion: 1.0", "Ce-Id: "+id, "Ce-Source: /s", "Ce-Type: t")
	}
	receive("one")
	s := w.open("events?place=" + w.server.feed.after("").place)
	receive("two")
	two := s.next()
	if two.kind != "" || !strings.Contains(two.data, ">two<") {
		t.Errorf("%+v", two)
	}
	receive("three")
	if m := s.next(); !strings.Contains(m.data, ">three<") {
		t.Errorf("%+v", m)
	}
	again := w.open("events?place=old-1", "Last-Event-ID: "+two.id)
	if m := again.next(); m.kind != "" || !strings.Contains(m.data, ">three<") {
		t.Errorf("%+v", m)
	}
	for _, place := range []string{"", "x", "other-1", w.server.feed.name + "-99", w.server.feed.name + "--1", w.server.feed.name + "-"} {
		if m := w.open("events?place=" + place).next(); m.kind != "list" || strings.Count(m.data, "<li ") != 3 {
			t.Errorf("after %q: %+v", place, m)
		}
	}
	w.do(http.MethodDelete, "messages", "")
	if m := s.next(); m.kind != "list" || strings.Contains(m.data, "<li ") {
		t.Errorf("%+v", m)
	}
	receive("four")
	if m := s.next(); m.kind != "" || !strings.Contains(m.data, ">four<") {
		t.Errorf("%+v", m)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t, config{})
	w.server.readers.Store(mostReaders - 1)
	last := w.open("events")
	if status, _ := w.do(http.MethodGet, "events", ""); status != http.StatusServiceUnavailable {
		t.Errorf("%d", status)
	}
	last.close()
	eventually(t, "the reader is gone", func() bool { return w.server.readers.Load() == mostReaders-1 })
}

// A browser that stops reading delays no event, makes nothing pile up, and is let go.
func TestReaderThatStops(t *testing.T) {
	w := newWorld(t, config{})
	w.server.stalled = 50 * time.Millisecond
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(w.url, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: player\r\n\r\n")
	eventually(t, "it reads", func() bool { return w.server.readers.Load() == 1 })
	data := strings.Repeat("<", mostShown) // four times as long when escaped
	deadline := time.Now().Add(time.Minute)
	for n := 0; w.server.readers.Load() != 0; n++ {
		if time.Now().After(deadline) {
			t.Fatalf("after %d events it still counts as a reader", n)
		}
		if status, text := w.do(http.MethodPost, "", data, binary()...); status != http.StatusAccepted {
			t.Fatal(text)
		}
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}
