package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// fuzzEngine is an Engine that serves nothing: its flows are what is fuzzed.
func fuzzEngine(f *testing.F) *Engine {
	h, err := New(Config{Name: "x", Policy: nobody{}, EndToEnd: []string{"X-Keep"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	return NewEngine(h, ServerConfig{})
}

// beginFlow makes a flow of a request's head; nil when it is refused.
func beginFlow(e *Engine, head, remote, peer string) *flow {
	if end, _, err := h1.HeadEnd([]byte(head), 0, false); err != nil || end != len(head) {
		return nil
	}
	f := e.flow()
	c := &client{e: e, in: readBuffer{pool: &e.readBuffers}, remote: remote, peer: peer, fd: noSocket}
	if f.head.Parse(head, DefaultMaxFields) != nil || f.begin(c, time.Now()) != nil {
		return nil
	}
	return f
}

// crlf gives each line its proper end: what lines are is fuzzed elsewhere.
func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// fuzzedHead puts a head together.
func fuzzedHead(lines ...string) string {
	return crlf(strings.Trim(strings.Join(lines, "\n"), "\n") + "\n\n")
}

// FuzzRequestHeads: the head that an upstream is sent is one that net/http and our own parser take for the same single request,
// and its fields are those that the Handler sends: hop-by-hop ones removed, X-Forwarded-For written in one line.
func FuzzRequestHeads(f *testing.F) {
	for _, s := range [][4]string{
		{"GET / HTTP/1.1\nHost: x", "", "", ""},
		{"GET http://a:80/b?c HTTP/1.1\nHost: x", "keep-alive", "192.0.2.7", "x-forwarded-for: a, b"},
		{"POST / HTTP/1.1\nHost: x", "TE, X-A", "::1,2", "Transfer-Encoding: chunked\nTrailer: X\nTE: trailers;q=1, x\nX-A: 1"},
		{"POST / HTTP/1.1\nHost: x", "content-length,Cookie", " ", "Content-Length: 0004\nExpect: 100-continue\nCookie: a\nCookie: b"},
		{"GET / HTTP/1.1\nHost: x", "upgrade, X-Keep, X-Forwarded-For", ",", "Upgrade: websocket\nX-Keep: k\nX-Forwarded-Host: h"},
		{"GET / HTTP/1.0", "keep-alive, Upgrade", "unknown", "Upgrade: a\nKeep-Alive: timeout=5\nProxy-Connection: x"},
		{"GET / HTTP/1.0", "", "0", "X-forwArded-for:"},
		{"OPTIONS * HTTP/1.1", "close, host, transfer-encoding", "[::1]:80", "hOST:\nHTTP2-Settings: x\nUpgrade: h2c"},
		{"OPTIONS http://a HTTP/1.1\nHost: x", "expect", "\xff", "Connection: ,te,\nUser-Agent:"},
	} {
		f.Add(s[0], s[1], s[2], s[3], true)
		f.Add(s[0], s[1], s[2], s[3], false)
	}
	e := fuzzEngine(f)
	f.Fuzz(func(t *testing.T, first, connection, forwarded, more string, addressed bool) {
		head := fuzzedHead(first, "Connection: "+connection, "X-Forwarded-For: "+forwarded, more)
		remote, peer := "@", ""
		if addressed {
			remote, peer = "[2001:db8::1]:4711", "2001:db8::1"
		}
		fl := beginFlow(e, head, remote, peer)
		if fl == nil {
			return
		}
		defer e.keepFlow(fl)
		sent := fl.appendRequestHead(nil, &Upstream{Addr: "192.0.2.9:80"})
		var again h1.Request
		if end, _, err := h1.HeadEnd(sent, 0, false); err != nil || end != len(sent) {
			t.Fatalf("%q became %q, which ends at %d: %v", head, sent, end, err)
		}
		if err := again.Parse(string(sent), len(fl.head.Fields)+10); err != nil {
			t.Fatalf("%q became %q: %v", head, sent, err)
		}
		in := bufio.NewReader(bytes.NewReader(sent))
		got, err := http.ReadRequest(in)
		if err != nil || in.Buffered() > 0 && got.ContentLength == 0 {
			t.Fatalf("%q became %q: %v, %d bytes more", head, sent, err, in.Buffered())
		}
		ex := handlersExchange(t, e.h, head, remote)
		defer ex.cancel(nil)
		host := ex.r.Host
		if host == "" {
			host = "192.0.2.9:80"
		}
		if got.Method != ex.r.Method || got.RequestURI != ex.target || got.Host != host || got.ContentLength != ex.r.ContentLength ||
			again.Host != got.Host || again.Length != got.ContentLength || again.Expect != (len(got.Header["Expect"]) > 0) || got.Close {
			t.Fatalf("%q became %q: %+v, the Handler's %+v", head, sent, got, ex.r)
		}
		want := (&try{ex: ex}).header(HTTP1)
		if v := want["X-Forwarded-For"]; len(v) > 0 {
			want["X-Forwarded-For"] = []string{strings.Trim(strings.Join(v, ", "), " ")} // as it is read again
		}
		sameFields(t, head, got.Header, want)
	})
}

// handlersExchange is what the Handler makes of a request's head, with net/http.
func handlersExchange(t *testing.T, h *Handler, head, remote string) *exchange {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatalf("%q: net/http: %v", head, err)
	}
	r.RemoteAddr = remote
	ex, err := newExchange(h, httptest.NewRecorder(), r)
	if err != nil {
		t.Fatalf("%q: the Handler: %v", head, err)
	}
	return ex
}

// sameFields compares what Engine and Handler pass on, but for framing, which each writes of its own accord.
func sameFields(t *testing.T, head string, got, want http.Header) {
	t.Helper()
	for _, h := range []http.Header{got, want} {
		for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer", "Host"} {
			delete(h, name)
		}
		for name, v := range h {
			if len(v) == 0 {
				delete(h, name) // which keeps net/http from adding one
			}
		}
	}
	for name := range got {
		if len(want[name]) == 0 {
			t.Fatalf("%q: %s: %q, the Handler has none", head, name, got[name])
		}
	}
	for name, v := range want {
		if !slices.Equal(got[name], v) {
			t.Fatalf("%q: %s: %q, the Handler's %q", head, name, got[name], v)
		}
	}
}

// FuzzAnswerHeads: the head that a client is sent is one that net/http takes for the same answer, framed in one way, and
// its fields are those of the upstream's but for what the Handler removes too. The only exception: of `Connection: close, X` net/http
// shows the Handler nothing, so that X stays there; here it goes.
func FuzzAnswerHeads(f *testing.F) {
	for _, s := range [][3]string{
		{"HTTP/1.1 200 OK", "close, X-A", "Content-Length: 5\nX-A: 1"},
		{"HTTP/1.0 200 OK", "keep-alive,Server", "Server: x\nKeep-Alive: timeout=5"},
		{"HTTP/1.1 404  a b", "", "Transfer-Encoding: chunked\nTrailer: X"},
		{"HTTP/1.1 204 No Content", "x-keep", "X-Keep: k\nContent-Length: 5\nTransfer-Encoding: chunked"},
		{"HTTP/1.1 304 Not Modified", "upgrade", "Content-Length: 0005\nSet-Cookie: a\nset-cookie: b"},
		{"HTTP/1.1 200 OK", "content-length", "Content-Length: 5\nContent-Length: 5\nTransfer-Encoding: chunked"},
		{"HTTP/1.1 500 ", "te,,", "Upgrade: h2c\nTE: x\nProxy-Connection: keep-alive\nHost: x"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			f.Add(s[0], s[1], s[2], method, 1, true)
		}
		f.Add(s[0], s[1], s[2], "GET", 0, true)
		f.Add(s[0], s[1], s[2], "POST", 1, false)
	}
	e := fuzzEngine(f)
	f.Fuzz(func(t *testing.T, first, connection, more, method string, minor int, keep bool) {
		head := fuzzedHead(first, "Connection: "+connection, more)
		if end, _, err := h1.HeadEnd([]byte(head), 0, true); err != nil || end != len(head) {
			return
		}
		fl := e.flow()
		defer e.keepFlow(fl)
		tr := &flowAttempt{f: fl}
		if tr.ans.Parse(head) != nil || tr.ans.Status < 200 {
			return
		}
		fl.head.Method, fl.head.Minor = method, minor&1
		if _, err := (Header{list: &tr.ans.Fields}).endConnection(e.h.cfg.EndToEnd); err != nil {
			return
		}
		tr.bodyOf()
		fl.keep = keep && fl.framing != framedByClose
		sent := fl.appendAnswerHead(nil, &tr.ans)
		in := bufio.NewReader(bytes.NewReader(sent))
		got, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil || in.Buffered() > 0 {
			t.Fatalf("%q became %q: %v, %d bytes more", head, sent, err, in.Buffered())
		}
		if len(got.Header["Content-Length"]) > 1 || got.StatusCode != tr.ans.Status {
			t.Fatalf("%q became %q", head, sent)
		}
		chunked := len(got.TransferEncoding) > 0
		unframed := !chunked && got.ContentLength < 0 && fl.framing != bodiless
		if chunked && minor&1 == 0 || unframed && !got.Close || got.Close == fl.keep ||
			got.StatusCode == http.StatusNoContent && (chunked || got.ContentLength > 0) {
			t.Fatalf("%q became %q: framing %d, keep %v: %+v", head, sent, fl.framing, fl.keep, got)
		}
		want, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q: net/http: %v", head, err)
		}
		if strings.TrimRight(got.Status, " ") != strings.TrimRight(want.Status, " ") {
			t.Fatalf("%q: status %q, the Handler's %q", head, got.Status, want.Status)
		}
		delete(got.Header, "Connection")
		_, lines, _ := strings.Cut(head, "\n")
		fields, err := textproto.NewReader(bufio.NewReader(strings.NewReader(lines))).ReadMIMEHeader()
		if err != nil {
			t.Fatalf("%q: net/textproto: %v", head, err)
		}
		if _, err := NewHeader(http.Header(fields)).endConnection(e.h.cfg.EndToEnd); err != nil {
			t.Fatalf("%q: the Handler: %v", head, err)
		}
		sameFields(t, head, got.Header, http.Header(fields))
	})
}
