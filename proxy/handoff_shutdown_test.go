package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// shutting is an engine whose requests wait in Next until they are let on, to an app that is spoken to over HTTP/2.
type shutting struct {
	*proxy.Engine
	addr    string
	entered chan bool
	letOn   chan bool
	results chan proxy.Result
}

func newShutting(t *testing.T, suspended bool) *shutting {
	t.Helper()
	upstream := listenAndServe(t, proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, b)
	}), proxy.ServerConfig{}))
	s := &shutting{entered: make(chan bool, 10), letOn: make(chan bool), results: make(chan proxy.Result, 10)}
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{
		next: func(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
			select {
			case <-s.letOn:
				return proxy.Forward(proxy.Upstream{Addr: upstream, Proto: proxy.HTTP2}), a.Cause
			default:
			}
			s.entered <- true
			if suspended {
				wake := r.Suspend(proxy.Timeouts{})
				go func() { <-s.letOn; wake() }() // letOn is closed by the test
				return proxy.Wait(), nil
			}
			<-s.letOn
			return proxy.Forward(proxy.Upstream{Addr: upstream, Proto: proxy.HTTP2}), a.Cause
		},
		end: func(r proxy.Result) { s.results <- r },
	}})
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, h)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Engine, s.addr = proxy.NewEngine(h, proxy.ServerConfig{}), l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-served })
	return s
}

// shutDown begins a Shutdown and returns when it no longer listens.
func (s *shutting) shutDown(t *testing.T) (down chan error) {
	t.Helper()
	down = make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		down <- s.Shutdown(ctx)
	}()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return down
		}
		c.Close()
		if time.Now().After(end) {
			t.Fatal("it listens on")
		}
	}
}

// A request that waits for its upstream when Shutdown begins, and is then handed to net/http, is answered, and its client told to
// go.
func TestF3RequestThatWaitsWhenShutdownBegins(t *testing.T) {
	for _, suspended := range []bool{false, true} {
		for _, body := range []string{"Content-Length: 4\r\n\r\n|body", "Content-Length: 4\r\n\r\nbody|", "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n|2\r\ndy\r\n0\r\n\r\n"} {
			s := newShutting(t, suspended)
			conn, in := dialEngine(t, s.addr)
			first, second, _ := strings.Cut(body, "|")
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n"+first)
			<-s.entered
			down := s.shutDown(t)
			close(s.letOn)
			io.WriteString(conn, second)
			if resp, b := readAnswer(t, in, "POST"); resp.StatusCode != 200 || b != "HTTP/2.0 body" || !resp.Close {
				t.Errorf("%q: %s %q, close %v", body, resp.Status, b, resp.Close)
			}
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("%q: after the answer: %v", body, err)
			}
			if r := <-s.results; r.Reason != proxy.ReasonNone || r.Status != 200 {
				t.Errorf("%q: %+v", body, r)
			}
			if err := <-down; err != nil {
				t.Errorf("%q: Shutdown: %v", body, err)
			}
		}
	}
}

// A connection that is being handed off in the moment in which Shutdown begins is lost neither by the one nor the other.
func TestF3HandedOverWhileShutdownBegins(t *testing.T) {
	for range 50 {
		s := newShutting(t, false)
		const conns = 8
		answers := make(chan error, conns)
		for range conns {
			conn, in := dialEngine(t, s.addr)
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			<-s.entered
			go func() {
				resp, err := http.ReadResponse(in, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
				}
				answers <- err
			}()
		}
		go close(s.letOn)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		cancel()
		for range conns {
			if err := <-answers; err != nil {
				t.Errorf("an answer: %v", err)
			}
		}
	}
}
