package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// stream2 is a client's stream of HTTP/2, whose frames are written and read by hand.
type stream2 struct {
	t      *testing.T
	c      net.Conn
	fr     *http2.Framer
	status string
	fields map[string]string
	ended  bool
	reset  http2.ErrCode
	in     bytes.Buffer
}

// connect2 opens a stream with these fields, and reads the head of the answer. The server has to allow extended CONNECT.
func connect2(t *testing.T, addr string, fields ...string) *stream2 {
	t.Helper()
	c, in := dialEngine(t, addr)
	s := &stream2{t: t, c: c, fr: http2.NewFramer(c, in), fields: map[string]string{}}
	s.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	io.WriteString(c, http2.ClientPreface)
	_ = s.fr.WriteSettings()
	f, err := s.fr.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := f.(*http2.SettingsFrame).Value(http2.SettingEnableConnectProtocol); !ok || v != 1 {
		t.Fatalf("extended CONNECT is not announced: %v", f)
	}
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	s.until(func() bool { return s.status != "" })
	return s
}

// websocket2 asks for a websocket.
func websocket2(t *testing.T, addr string) *stream2 {
	t.Helper()
	return connect2(t, addr, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "x", ":path", "/ws",
		"sec-websocket-version", "13", "sec-websocket-protocol", "chat", "origin", "http://x")
}

// until reads frames until done, or the end of the stream.
func (s *stream2) until(done func() bool) {
	s.t.Helper()
	for !done() && !s.ended {
		f, err := s.fr.ReadFrame()
		if err != nil {
			s.t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = s.fr.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			for _, x := range f.Fields {
				s.fields[x.Name] = x.Value
			}
			s.status, s.ended = f.PseudoValue("status"), f.StreamEnded()
		case *http2.DataFrame:
			s.in.Write(f.Data())
			if n := uint32(len(f.Data())); n > 0 {
				_, _ = s.fr.WriteWindowUpdate(0, n), s.fr.WriteWindowUpdate(1, n)
			}
			s.ended = s.ended || f.StreamEnded()
		case *http2.RSTStreamFrame:
			s.ended, s.reset = true, f.ErrCode
		}
	}
}

// frame is a client's frame of a websocket, masked with zeros (RFC 6455 §5.2).
func wsFrame(opcode byte, p string) []byte {
	b := []byte{0x80 | opcode, 0x80 | 126, byte(len(p) >> 8), byte(len(p)), 0, 0, 0, 0}
	return append(b, p...)
}

// A websocket over HTTP/2 (RFC 8441) is one of HTTP/1.1 to the policy and the app, through one proxy or two.
func TestWebsocketOverHTTP2(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/1.1" || r.Method != "GET" || r.RequestURI != "/ws" || r.Header.Get("Origin") != "http://x" {
			t.Errorf("the app got %s %s %s %v", r.Method, r.RequestURI, r.Proto, r.Header)
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(context.Background())
			if err != nil || c.Write(context.Background(), kind, b) != nil {
				return
			}
		}
	}))
	defer app.Close()
	results := make(chan proxy.Result, 2)
	through := func(upstream string) string {
		return engineOf(t, policyFuncs{next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
			if r.Upgrade != "websocket" || r.Method != "GET" {
				t.Errorf("the policy got %q, Upgrade %q", r.Method, r.Upgrade)
			}
			return proxy.Forward(proxy.Upstream{Addr: upstream}), nil
		}, end: func(r proxy.Result) { results <- r }}, proxy.ServerConfig{})
	}
	one := through(app.Listener.Addr().String())
	for _, c := range []struct {
		addr    string
		proxies int
	}{{one, 1}, {through(one), 2}} {
		s := websocket2(t, c.addr)
		if s.status != "200" || s.fields["sec-websocket-protocol"] != "chat" || s.fields["sec-websocket-accept"] != "" || s.fields["upgrade"] != "" {
			t.Fatalf("%s %v", s.status, s.fields)
		}
		long := strings.Repeat("w", 10_000)
		for range 100 { // more than any window
			if err := s.fr.WriteData(1, false, wsFrame(1, long)); err != nil {
				t.Fatal(err)
			}
			want := "\x81\x7e\x27\x10" + long
			if s.until(func() bool { return s.in.Len() >= len(want) }); string(s.in.Next(len(want))) != want {
				t.Fatalf("%d bytes and no echo", s.in.Len())
			}
		}
		_ = s.fr.WriteData(1, true, wsFrame(8, "\x03\xe8"))
		if s.until(func() bool { return false }); s.in.String() != "\x88\x02\x03\xe8" || s.reset != http2.ErrCodeNo {
			t.Errorf("the end is %q, %v", s.in.String(), s.reset)
		}
		for range c.proxies {
			if r := <-results; r.Reason != proxy.ReasonNone || r.Status != 101 || r.BytesIn < 1_000_000 || r.BytesOut < 1_000_000 {
				t.Errorf("%+v", r)
			}
		}
	}
}

// handshakes serves connections of HTTP/1.1: it reads the head of a request, and leaves the rest to f, with the
// Sec-WebSocket-Accept for the request's key.
func handshakes(t *testing.T, f func(c net.Conn, accept string)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
				f(c, base64.StdEncoding.EncodeToString(sum[:]))
			})
		}
	})
	return l.Addr().String()
}

// forwarding forwards to addr, and tells results.
func forwarding(addr string, t proxy.Timeouts, results chan<- proxy.Result) policyFuncs {
	return policyFuncs{next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
		return proxy.Forward(proxy.Upstream{Addr: addr, Timeouts: t}), nil
	}, end: func(r proxy.Result) { results <- r }}
}

// What isn't agreed to is answered, and opens nothing.
func TestWebsocketsOverHTTP2ThatFail(t *testing.T) {
	const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	for _, c := range []struct {
		name, answer, status string
		reason               proxy.Reason
	}{
		{"declined", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "403", proxy.ReasonNone},
		{"not understood", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage", "502", proxy.BadResponse},
		{"without proof", head + "\r\n", "502", proxy.BadResponse},
		{"with another's", head + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", "502", proxy.BadResponse},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := handshakes(t, func(conn net.Conn, _ string) {
				io.WriteString(conn, c.answer)
				io.Copy(io.Discard, conn)
			})
			results := make(chan proxy.Result, 1)
			s := websocket2(t, engineOf(t, forwarding(app, proxy.Timeouts{}, results), proxy.ServerConfig{}))
			if s.status != c.status {
				t.Errorf("%s, want %s", s.status, c.status)
			}
			s.until(func() bool { return false })
			if r := <-results; r.Reason != c.reason || fmt.Sprint(r.Status) != c.status {
				t.Errorf("%+v", r)
			}
		})
	}
	s := connect2(t, engineOf(t, nothing, proxy.ServerConfig{}), ":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "http", ":authority", "x", ":path", "/")
	if s.status != "501" {
		t.Errorf("another protocol: %s", s.status)
	}
}

// A client that resets the stream is gone for the app, and an app that has said nothing is held to the start of its response.
func TestTheEndsOfWebsocketsOverHTTP2(t *testing.T) {
	for _, start := range []time.Duration{0, 200 * time.Millisecond} {
		ended := make(chan struct{})
		app := handshakes(t, func(conn net.Conn, accept string) {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+accept+"\r\n\r\n")
			io.Copy(io.Discard, conn)
			close(ended)
		})
		results := make(chan proxy.Result, 1)
		s := websocket2(t, engineOf(t, forwarding(app, proxy.Timeouts{ResponseStart: start}, results), proxy.ServerConfig{}))
		if s.status != "200" {
			t.Fatal(s.status)
		}
		want := proxy.TimeoutStart
		if start == 0 {
			want = proxy.ClientGone
			_ = s.fr.WriteRSTStream(1, http2.ErrCodeCancel)
		} else if s.until(func() bool { return false }); s.reset != http2.ErrCodeInternal {
			t.Errorf("reset with %v", s.reset)
		}
		if r := <-results; r.Reason != want || r.Status != 101 {
			t.Errorf("%+v, want %v", r, want)
		}
		<-ended
	}
}
