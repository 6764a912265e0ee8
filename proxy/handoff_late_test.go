package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// waiting is a policy whose requests wait until they are let on.
type waiting struct {
	NopExchange
	entered, letOn chan bool
}

func (w waiting) Begin(*Request) Exchange { return w }
func (w waiting) Next(r *Request, _ Attempt) (Decision, error) {
	select {
	case <-w.letOn:
	default:
		return r.Await(Timeouts{}, func(context.Context) {
			w.entered <- true
			<-w.letOn
		}), nil
	}
	return Answer(&Local{Status: http.StatusOK, Body: "served"}), nil
}

// A connection that turns out to be one of HTTP/2 after Shutdown has begun has its request answered, and is told to go.
func TestF3HTTP2BegunAfterShutdown(t *testing.T) {
	p := waiting{entered: make(chan bool, 10), letOn: make(chan bool)}
	h, err := New(Config{Name: "x", Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	e := NewEngine(h, ServerConfig{})
	defer e.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = e.Serve(l) }()
	dial := func(addr net.Addr) net.Conn {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	holding := dial(l.Addr()) // keeps Shutdown from its end
	io.WriteString(holding, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-p.entered
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		down <- e.Shutdown(ctx)
	}()
	<-e.handoff.done // the server is shutting down

	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	conn := dial(other.Addr())
	accepted, err := other.Accept()
	if err != nil {
		t.Fatal(err)
	}
	e.serveHTTP2(&client{e: e, conn: accepted, handed: &replayed{Conn: accepted}})
	io.WriteString(conn, http2.ClientPreface)
	fr := http2.NewFramer(conn, conn)
	_ = fr.WriteSettings()
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
	<-p.entered
	close(p.letOn)
	if goAway, body := readToEnd(fr); body != "served" || !goAway {
		t.Errorf("%q, GOAWAY %v", body, goAway)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(holding), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the other: %v, %v", resp, err)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// readToEnd reads frames to the end of a connection.
func readToEnd(fr *http2.Framer) (goAway bool, body string) {
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return goAway, body
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = fr.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			goAway = true
		case *http2.DataFrame:
			body += string(f.Data())
		}
	}
}
