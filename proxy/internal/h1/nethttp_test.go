package h1

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// message is one request as a parser understood it.
type message struct {
	method, target, host, body string
	length                     int64
	header, trailer            http.Header
}

// ours is what this package makes of the bytes of a connection: every request up to the first that is refused, or
// doesn't come to its end.
func ours(b []byte) (all []message) {
	for len(b) > 0 {
		end, _, err := HeadEnd(b, 0, false)
		if err != nil || end == 0 {
			return all
		}
		var r Request
		if r.Parse(string(b[:end]), 500) != nil || r.Method == "CONNECT" {
			return all
		}
		b = b[end:]
		m := message{method: r.Method, target: r.Target, host: r.Host, length: r.Length, header: headerOf(r.Fields)}
		var body Body
		body.Start(r.Length)
		if r.Chunked() {
			body.StartChunked(new(Chunks))
		}
		content := make([]byte, len(b))
		nd, ns, err := body.Decode(content, b)
		if err != nil || !body.Done() {
			return all
		}
		b, m.body = b[ns:], string(content[:nd])
		var trailer Fields
		if body.Trailers(&trailer) != nil {
			return all
		}
		m.trailer = headerOf(trailer)
		all = append(all, m)
		if closes(m.header, r.Minor) {
			return all
		}
	}
	return all
}

func closes(h http.Header, minor int) bool {
	for _, v := range h["Connection"] {
		for o := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(o, " \t"), "close") {
				return true
			}
		}
	}
	return minor == 0 // near enough
}

func headerOf(f Fields) http.Header {
	h := http.Header{}
	for _, x := range f {
		if x.Kind != Host && x.Kind != TransferEncoding {
			h.Add(x.Name, x.Value)
		}
	}
	return h
}

// theirs is what net/http's server makes of them.
func theirs(b []byte) (all []message) {
	l := &oneConn{done: make(chan struct{})}
	var mu sync.Mutex
	s := &http.Server{
		DisableGeneralOptionsHandler: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m := message{method: r.Method, target: r.RequestURI, host: r.Host, length: r.ContentLength, header: r.Header.Clone()}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			m.body, m.trailer = string(body), r.Trailer
			for _, name := range []string{"Host", "Transfer-Encoding"} { // as headerOf
				delete(m.trailer, name)
			}
			delete(m.header, "Trailer")
			mu.Lock()
			all = append(all, m)
			mu.Unlock()
		}),
		ConnState: func(_ net.Conn, st http.ConnState) {
			if st == http.StateClosed || st == http.StateHijacked {
				l.Close()
			}
		},
		ErrorLog: nil,
	}
	s.ErrorLog = silent
	l.conn = &wireConn{in: bytes.NewReader(b)}
	_ = s.Serve(l)
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(all)
}

// oneConn is a listener with one connection; it ends with that.
type oneConn struct {
	conn net.Conn
	once sync.Once
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *oneConn) Addr() net.Addr { return new(net.TCPAddr) }

// wireConn is a connection on which bytes come and whatever is written is lost.
type wireConn struct{ in *bytes.Reader }

func (c *wireConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *wireConn) Write(p []byte) (int, error) { return len(p), nil }
func (c *wireConn) Close() error                { return nil }
func (c *wireConn) LocalAddr() net.Addr         { return new(net.TCPAddr) }
func (c *wireConn) RemoteAddr() net.Addr        { return new(net.TCPAddr) }

func (c *wireConn) SetDeadline(time.Time) error      { return nil }
func (c *wireConn) SetReadDeadline(time.Time) error  { return nil }
func (c *wireConn) SetWriteDeadline(time.Time) error { return nil }

// sameMessages fails unless net/http has understood at least what we have, and the same by it.
func sameMessages(t *testing.T, b []byte) {
	t.Helper()
	us := ours(b)
	if len(us) == 0 {
		return
	}
	them := theirs(b)
	if len(them) < len(us) {
		t.Fatalf("%q: we take %d requests, net/http %d: ours %+v", b, len(us), len(them), us)
	}
	for i, u := range us {
		v := them[i]
		delete(u.header, "Trailer")
		if u.method != v.method || u.target != v.target || u.host != v.host || u.body != v.body || u.length != v.length {
			t.Fatalf("%q: request %d: ours %+v, theirs %+v", b, i, u, v)
		}
		sameHeader(t, b, u.header, v.header)
		sameHeader(t, b, u.trailer, v.trailer)
	}
}

func sameHeader(t *testing.T, b []byte, u, v http.Header) {
	t.Helper()
	for name := range u {
		if !slices.Equal(u[name], v[name]) {
			t.Fatalf("%q: %s: ours %q, theirs %q", b, name, u[name], v[name])
		}
	}
	for name, values := range v {
		if len(values) > 0 && len(u[name]) != len(values) {
			t.Fatalf("%q: %s: ours %q, theirs %q", b, name, u[name], values)
		}
	}
}
