package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// Shutdown lets requests end, tells their clients, closes what is idle, and loses nothing.
func TestEngineShutsDown(t *testing.T) {
	asked, leave := make(chan bool), make(chan bool)
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
		if r.Target == "/wait" {
			asked <- true
			<-leave
		}
		return proxy.Answer(&proxy.Local{Status: 200, Body: "served"}), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.NewEngine(h, proxy.ServerConfig{})
	served := make(chan error, 1)
	go func() { served <- e.Serve(l) }()
	idle, idleIn := dialEngine(t, l.Addr().String())
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	readAnswer(t, idleIn, "GET")
	busy, busyIn := dialEngine(t, l.Addr().String())
	io.WriteString(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-asked
	var two http.Protocols
	two.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: &two}
	defer tr.CloseIdleConnections()
	http2 := make(chan string, 1)
	go func() {
		resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String() + "/wait")
		if err != nil {
			http2 <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		http2 <- string(b)
	}()
	<-asked
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		down <- e.Shutdown(ctx)
	}()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	if _, err := idleIn.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	leave <- true
	leave <- true
	if resp, body := readAnswer(t, busyIn, "GET"); body != "served" || !resp.Close {
		t.Errorf("%q, close %v", body, resp.Close)
	}
	if s := <-http2; s != "served" {
		t.Errorf("HTTP/2: %s", s)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := e.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve after it: %v", err)
	}
}

// Close ends requests that wait, for a place or for their app, and tells their clients; what has begun to be answered is cut.
func TestEngineCloses(t *testing.T) {
	begun := make(chan string, 10)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/answers" {
			io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		} else {
			begun <- r.URL.Path
		}
		<-r.Context().Done()
	}))
	defer app.Close()
	ended := make(chan proxy.Result, 10)
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{next: func(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		switch {
		case a.Ended != nil:
			return proxy.Decision{}, a.Ended
		case r.Target == "/awaits":
			return r.Await(proxy.Timeouts{}, func(ctx context.Context) {
				begun <- r.Target
				<-ctx.Done()
			}), nil
		case r.Target == "/waits":
			r.Suspend(proxy.Timeouts{})
			begun <- r.Target
			return proxy.Wait(), nil
		}
		return proxy.Forward(proxy.Upstream{Addr: app.Listener.Addr().String(), Proto: proxy.HTTP1}), a.Cause
	}, end: func(r proxy.Result) { ended <- r }}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.NewEngine(h, proxy.ServerConfig{})
	go func() { _ = e.Serve(l) }()
	var told sync.WaitGroup
	paths := []string{"/awaits", "/waits", "/hangs", "/answers"}
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		var p http.Protocols
		p.SetHTTP1(proto == "HTTP/1.1")
		p.SetUnencryptedHTTP2(proto != "HTTP/1.1")
		tr := &http.Transport{Protocols: &p}
		defer tr.CloseIdleConnections()
		for _, path := range paths {
			told.Go(func() {
				resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String() + path)
				if err != nil {
					t.Errorf("%s %s: %v", proto, path, err)
					return
				}
				defer resp.Body.Close()
				if path == "/answers" {
					begun <- path
				}
				b, err := io.ReadAll(resp.Body)
				switch {
				case path == "/answers":
					if err == nil || string(b) != "begun" {
						t.Errorf("%s %s: %q, %v", proto, path, b, err)
					}
				case resp.Proto != proto || resp.StatusCode != http.StatusServiceUnavailable || string(b) != "shutting down\n":
					t.Errorf("%s %s: %s %s %q", proto, path, resp.Proto, resp.Status, b)
				}
			})
		}
	}
	for range 2 * len(paths) {
		<-begun
	}
	e.Close()
	told.Wait()
	for range 2 * len(paths) {
		if r := <-ended; r.Reason != proxy.Draining {
			t.Errorf("%+v", r)
		}
	}
	if n := h.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// Draining tells clients to go elsewhere, be the answer the app's or the proxy's own.
func TestPeers8TheEngineDrains(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
		if r.Target == "/own" {
			return proxy.Answer(&proxy.Local{Status: 204}), nil
		}
		return proxy.Forward(proxy.Upstream{Addr: app.Listener.Addr().String()}), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	addr := startEngine(t, h, proxy.ServerConfig{})
	for _, path := range []string{"/", "/own"} {
		h.SetDraining(false)
		conn, in := dialEngine(t, addr)
		for i := range 3 {
			h.SetDraining(i == 2)
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			if resp, _ := readAnswer(t, in, "GET"); resp.Close != (i == 2) {
				t.Errorf("%s: answer %d: close %v", path, i, resp.Close)
			}
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("%s: after Connection: close: %v", path, err)
		}
	}
}

// A policy that panics at an answer leaves neither a connection to the upstream nor the reading of a body behind.
func TestEngineSurvivesPanicsAtAnswers(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
	}))
	results := make(chan proxy.Result, 1)
	addr := engineOf(t, panicking{policyFuncs{
		next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			return proxy.Forward(proxy.Upstream{Addr: app.Listener.Addr().String()}), nil
		},
		end: func(r proxy.Result) { results <- r },
	}}, proxy.ServerConfig{})
	conn, in := dialEngine(t, addr)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")
	if r := <-results; r.Reason != proxy.Internal {
		t.Errorf("%+v", r)
	}
	if _, err := in.ReadByte(); err == nil {
		t.Error("an answer came")
	}
	app.Close() // blocks while a connection is in use
}

type panicking struct{ policyFuncs }

func (p panicking) Begin(*proxy.Request) proxy.Exchange         { return p }
func (panicking) Response(*proxy.Request, *proxy.Response) bool { panic("at an answer") }

// A policy that panics has its exchange ended, its connection closed, and the process goes on.
func TestEngineSurvivesPanics(t *testing.T) {
	results := make(chan proxy.Result, 1)
	addr := engineOf(t, policyFuncs{
		next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) { panic("at the policy") },
		end:  func(r proxy.Result) { results <- r },
	}, proxy.ServerConfig{})
	for range 3 {
		conn, in := dialEngine(t, addr)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if r := <-results; r.Reason != proxy.Internal {
			t.Errorf("%+v", r)
		}
		if _, err := in.ReadByte(); err == nil {
			t.Error("an answer came")
		}
	}
}

// A request and the end of its connection that come together leave nothing behind.
func TestEngineSeesAnEndThatComesWithARequest(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	var closed atomic.Int32
	h, err := proxy.New(proxy.Config{Name: "x", Policy: toApp{addr: app.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.NewEngine(h, proxy.ServerConfig{})
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Serve(closeCounter{l, &closed}) }()
	defer func() { e.Close(); <-done; h.Close() }()
	const conns = 200
	for range conns {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}
	for deadline := time.Now().Add(time.Minute); closed.Load() < conns; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d connections were closed", closed.Load(), conns)
		}
	}
}

// closeCounter counts the connections that have been closed; they can't be read directly.
type closeCounter struct {
	net.Listener
	n *atomic.Int32
}

func (l closeCounter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countedConn{c, l.n, atomic.Bool{}}, nil
}

type countedConn struct {
	net.Conn
	n    *atomic.Int32
	once atomic.Bool
}

func (c *countedConn) Close() error {
	if c.once.CompareAndSwap(false, true) {
		c.n.Add(1)
	}
	return c.Conn.Close()
}
