package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

func TestConfigIsValidated(t *testing.T) {
	for _, c := range []proxy.Config{
		{},
		{Policy: toApp{}},
		{Name: "x"},
		{Policy: toApp{}, Name: "tab\t"},
		{Policy: toApp{}, Name: "x", DialTimeout: -1},
		{Policy: toApp{}, Name: "x", IdleConnTimeout: -1},
	} {
		if h, err := proxy.New(c); err == nil || h != nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	h, err := proxy.New(proxy.Config{Policy: toApp{}, Name: "x y"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Draining tells clients to go elsewhere: on HTTP/1.1 by Connection: close, on HTTP/2 by GOAWAY, own answers as well.
func TestPeers8DrainingSendsClientsAway(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer app.Close()
	h, err := proxy.New(proxy.Config{Policy: toApp{addr: app.Listener.Addr().String()}, Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var conns atomic.Int32
	s := proxy.NewServer(h, proxy.ServerConfig{})
	s.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	addr := listenAndServe(t, s)
	for _, two := range []bool{false, true} {
		var p http.Protocols
		p.SetHTTP1(!two)
		p.SetUnencryptedHTTP2(two)
		c := &http.Client{Transport: &http.Transport{Protocols: &p}}
		h.SetDraining(false)
		get(t, c, addr)
		first := conns.Load()
		get(t, c, addr)
		if n := conns.Load(); n != first {
			t.Errorf("HTTP/2 %v: a second connection while not draining", two)
		}
		h.SetDraining(true)
		if resp := get(t, c, addr); !two && !resp.Close {
			t.Errorf("draining, and no Connection: close")
		}
		deadline := time.Now().Add(time.Minute)
		for conns.Load() == first && time.Now().Before(deadline) { // GOAWAY follows the answer
			get(t, c, addr)
		}
		if conns.Load() == first {
			t.Errorf("HTTP/2 %v: the connection is used on while draining", two)
		}
		c.CloseIdleConnections()
	}
}

func get(t *testing.T, c *http.Client, addr string) *http.Response {
	t.Helper()
	resp, err := c.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp
}

// policyFuncs is a policy of functions.
type policyFuncs struct {
	toApp
	next func(*proxy.Request, proxy.Attempt) (proxy.Decision, error)
	end  func(proxy.Result)
}

func (p policyFuncs) Begin(*proxy.Request) proxy.Exchange { return p }
func (p policyFuncs) Next(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	return p.next(r, a)
}

func (p policyFuncs) End(_ *proxy.Request, r proxy.Result) {
	if p.end != nil {
		p.end(r)
	}
}

func TestDrainWaitsForTheLastRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan bool)
		h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			<-leave
			return proxy.Answer(&proxy.Local{Status: 204}), nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Drain(t.Context()); err != nil {
			t.Errorf("nothing in progress: %v", err)
		}
		for range 2 {
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		synctest.Wait()
		if n := h.InFlight(); n != 2 {
			t.Errorf("%d in flight, want 2", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := h.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain with requests in progress: %v", err)
		}
		var drained atomic.Int32
		for range 3 {
			go func() {
				if err := h.Drain(t.Context()); err != nil {
					t.Error(err)
				}
				drained.Add(1)
			}()
		}
		leave <- true
		synctest.Wait()
		if drained.Load() != 0 {
			t.Error("Drain returned before the last request")
		}
		leave <- true
		synctest.Wait()
		if drained.Load() != 3 {
			t.Errorf("%d of 3 drains returned", drained.Load())
		}
	})
}

// Without ConnContext the wait of a request with a body can't be watched, and its owner is told once.
func TestOnUnwatched(t *testing.T) {
	var told atomic.Int32
	h, err := proxy.New(proxy.Config{Name: "x", OnUnwatched: func() { told.Add(1) }, Policy: policyFuncs{
		next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
			r.Suspend(proxy.Timeouts{})
			return proxy.Answer(&proxy.Local{Status: 204}), nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s := httptest.NewServer(h)
	defer s.Close()
	for i, body := range []string{"", "body", "body"} {
		resp, err := s.Client().Post(s.URL, "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := told.Load(); n != int32(min(i, 1)) {
			t.Errorf("after request %d: told %d times", i, n)
		}
	}
}

// A policy that panics has its exchange ended nevertheless, and nothing in flight stays behind.
func TestPanickingPolicy(t *testing.T) {
	results := make(chan proxy.Result, 1)
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{
		next: func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) { panic("at the policy") },
		end:  func(r proxy.Result) { results <- r },
	}})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if p := recover(); p != "at the policy" {
				t.Errorf("recovered %v", p)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	if r := <-results; r.Reason != proxy.Internal || h.InFlight() != 0 {
		t.Errorf("%+v, %d in flight", r, h.InFlight())
	}
}

// TLS on both sides: the client is watched below it, and upstreams are verified and reached by both protocols.
func TestTLS(t *testing.T) {
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, b)
	}))
	app.EnableHTTP2 = true
	app.StartTLS()
	defer app.Close()
	trusted := app.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trusted.ServerName, trusted.NextProtos = "example.com", []string{"h2", "http/1.1"}
	upstream := proxy.Upstream{Addr: app.Listener.Addr().String(), TLS: trusted}
	results := make(chan proxy.Result, 10)
	parked := make(chan bool, 1)
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{
		next: func(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
			switch r.Target {
			case "/park":
				if a.Ended != nil {
					return proxy.Decision{}, a.Ended
				}
				r.Suspend(proxy.Timeouts{})
				parked <- true
				return proxy.Wait(), nil
			case "/untrusted":
				return proxy.Forward(proxy.Upstream{Addr: upstream.Addr, TLS: new(tls.Config)}), a.Cause
			}
			return proxy.Forward(upstream), a.Cause
		},
		end: func(r proxy.Result) { results <- r },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	front := httptest.NewUnstartedServer(nil)
	front.Config = proxy.NewServer(h, proxy.ServerConfig{})
	front.EnableHTTP2 = true
	front.StartTLS()
	defer front.Close()
	for _, two := range []bool{false, true} {
		tr := &http.Transport{TLSClientConfig: front.Client().Transport.(*http.Transport).TLSClientConfig.Clone(), Protocols: new(http.Protocols)}
		tr.TLSClientConfig.NextProtos = nil
		tr.Protocols.SetHTTP1(!two)
		tr.Protocols.SetHTTP2(two)
		for range 2 {
			resp, err := (&http.Client{Transport: tr}).Post(front.URL, "", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := map[bool]string{false: "HTTP/1.1 body", true: "HTTP/2.0 body"}[two]; string(b) != want {
				t.Errorf("%q, want %q", b, want)
			}
			<-results
		}
		resp, err := (&http.Client{Transport: tr}).Get(front.URL + "/untrusted")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if r := <-results; r.Reason != proxy.TLSFailed || resp.StatusCode != http.StatusBadGateway {
			t.Errorf("untrusted: %s, %+v", resp.Status, r)
		}
		tr.CloseIdleConnections()
	}
	c, err := tls.Dial("tcp", front.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "POST /park HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
	<-parked
	c.NetConn().Close()
	select {
	case r := <-results:
		if r.Reason != proxy.ClientGone {
			t.Errorf("%+v", r)
		}
	case <-time.After(time.Minute):
		t.Fatal("a client that went was not noticed below TLS")
	}
}

// A connection that is watched, closed and followed by others with its descriptor never ends theirs.
func TestWatchDoesNotMistakeADescriptor(t *testing.T) {
	const times, each = 20, 20
	stay, left := make(chan bool), make(chan bool, times*each)
	addr := serve(t, proxy.Config{Name: "x", Policy: policyFuncs{next: func(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		switch {
		case a.Ended != nil:
			return proxy.Decision{}, a.Ended
		case !r.Header.Has("Waited"):
			return r.Await(proxy.Timeouts{}, func(ctx context.Context) {
				r.Header.Set("Waited", "1")
				if r.Target == "/stay" {
					select {
					case <-stay:
					case <-ctx.Done():
					}
				} else {
					<-ctx.Done()
					left <- true
				}
			}), nil
		}
		return proxy.Answer(&proxy.Local{Status: 204}), nil
	}}})
	for range times {
		leaving, staying := make([]net.Conn, each), make([]net.Conn, each)
		for i := range leaving {
			leaving[i] = send(t, addr, "/leave")
		}
		for i := range leaving { // descriptors are reused while ends are still on their way
			leaving[i].Close()
			staying[i] = send(t, addr, "/stay")
		}
		for range staying {
			stay <- true
		}
		for _, c := range staying {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != 204 {
				t.Fatalf("a client that stayed got %v, %v", resp, err)
			}
			c.Close()
		}
	}
	deadline := time.After(time.Minute)
	for i := range times * each { // all before the server closes their connections, of which the watch hears nothing
		select {
		case <-left:
		case <-deadline:
			t.Fatalf("%d of those who left have been noticed", i)
		}
	}
}

func send(t *testing.T, addr, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", path)
	return c
}
