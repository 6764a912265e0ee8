package proxy_test

import (
	"context"
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

// awaiting has its requests wait in a function, which does what their target says, and checks that nothing else of an exchange is
// called meanwhile.
type awaiting struct {
	t       *testing.T
	app     string
	begun   chan context.Context
	goOn    chan bool
	results chan proxy.Result
	asked   atomic.Int32 // calls of Next
}

func (p *awaiting) Begin(*proxy.Request) proxy.Exchange { return &awaited{policy: p} }

type awaited struct {
	proxy.NopExchange
	policy *awaiting
	inside atomic.Bool
	times  int
	cause  error
}

func (x *awaited) Next(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	x.check("Next")
	x.policy.asked.Add(1)
	times := map[string]int{"/again": 3, "/both": 2}[r.Target]
	switch {
	case a.Ended != nil:
		if x.cause != nil && x.cause != a.Ended {
			x.policy.t.Errorf("%s: the cause was %v, then Ended is %v", r.Target, x.cause, a.Ended)
		}
		return proxy.Decision{}, a.Ended
	case r.Target == "/both" && x.times == 0:
		r.Suspend(proxy.Timeouts{})
		return r.Await(proxy.Timeouts{}, x.await(r)), nil
	case r.Target == "/both" && x.times == 1:
		r.Await(proxy.Timeouts{}, func(context.Context) { x.policy.t.Error("called, though Suspend came later") })
		x.times++
		r.Suspend(proxy.Timeouts{})()
		return proxy.Wait(), nil
	case r.Target == "/not" && x.times == 0:
		r.Await(proxy.Timeouts{}, func(context.Context) { x.policy.t.Error("called, though Next decided otherwise") })
	case x.times < max(times, 1):
		t := proxy.Timeouts{}
		if r.Target == "/late" {
			t.ResponseStart = 50 * time.Millisecond
		}
		return r.Await(t, x.await(r)), nil
	}
	r.Header.Set("X-Nexts", fmt.Sprint(x.times))
	return proxy.Forward(proxy.Upstream{Addr: x.policy.app}), nil
}

func (x *awaited) await(r *proxy.Request) func(context.Context) {
	return func(ctx context.Context) {
		x.inside.Store(true)
		defer x.inside.Store(false)
		x.times++
		x.policy.begun <- ctx
		switch r.Target {
		case "/panic":
			panic("in a wait")
		case "/leave", "/late", "/close":
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond) // nobody goes on without it
			x.cause = context.Cause(ctx)
		default:
			<-x.policy.goOn
		}
	}
}

func (x *awaited) check(call string) {
	if x.inside.Load() {
		x.policy.t.Errorf("%s during the wait", call)
	}
}

func (x *awaited) Release(proxy.Upstream, proxy.AttemptResult) { x.check("Release") }

func (x *awaited) End(_ *proxy.Request, r proxy.Result) {
	x.check("End")
	x.policy.results <- r
}

func eachAwaiting(t *testing.T, f func(t *testing.T, p *awaiting, addr string, closes func() error)) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Nexts"), b)
	}))
	t.Cleanup(app.Close)
	eachServerOf(t, func() proxy.Policy {
		return &awaiting{
			t: t, app: app.Listener.Addr().String(), begun: make(chan context.Context, 1000), goOn: make(chan bool, 1000),
			results: make(chan proxy.Result, 1000),
		}
	}, func(t *testing.T, p proxy.Policy, addr string, closes func() error) {
		f(t, p.(*awaiting), addr, closes)
	})
}

// Next is called again when the function has returned, whose context ends with it; the request's body and connection go on.
func TestAwaitedRequestsGoOn(t *testing.T) {
	eachAwaiting(t, func(t *testing.T, p *awaiting, addr string, _ func() error) {
		conn, in := dialEngine(t, addr)
		for _, c := range []struct {
			target, body, want string
			waits              int
		}{
			{"/", "", "1 ", 1},
			{"/again", "", "3 ", 3},
			{"/both", "", "2 ", 1},
			{"/not", "", "0 ", 0},
			{"/", "Content-Length: 4\r\n\r\nbody", "1 body", 1},
			{"/again", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "3 body", 3},
		} {
			body := c.body
			if body == "" {
				body = "\r\n"
			}
			io.WriteString(conn, "GET "+c.target+" HTTP/1.1\r\nHost: x\r\n"+body)
			var last context.Context
			for range c.waits {
				last = <-p.begun
				time.Sleep(time.Millisecond)
				if last.Err() != nil {
					t.Errorf("%s: %v during the wait", c.target, context.Cause(last))
				}
				p.goOn <- true
			}
			if resp, body := readAnswer(t, in, "GET"); resp.StatusCode != 200 || body != c.want {
				t.Errorf("%s: %s %q, want %q", c.target, resp.Status, body, c.want)
			}
			if r := <-p.results; r.Attempts != 1 || r.Reason != proxy.ReasonNone || c.waits > 0 && r.Wait < time.Millisecond || r.Wait > r.Total {
				t.Errorf("%s: %+v", c.target, r)
			}
			if last != nil && last.Err() == nil {
				t.Errorf("%s: the context has outlived the wait", c.target)
			}
		}
	})
}

// A wait ends with its client, with its time, with a panic, and when the server closes; but never before the function does.
func TestAwaitedRequestsEnd(t *testing.T) {
	eachAwaiting(t, func(t *testing.T, p *awaiting, addr string, closes func() error) {
		for _, c := range []struct {
			target, body string
			reason       proxy.Reason
			nexts        int32
		}{
			{"/leave", "", proxy.ClientGone, 2},
			{"/leave", "unread", proxy.ClientGone, 2},
			{"/leave?upgrade", "", proxy.ClientGone, 2},
			{"/late", "", proxy.TimeoutStart, 2},
			{"/panic", "", proxy.Internal, 1},
			{"/close", "", proxy.ReasonNone, 2}, // which differs
		} {
			before := p.asked.Load()
			conn, _ := dialEngine(t, addr)
			fields := fmt.Sprintf("Content-Length: %d\r\n", len(c.body))
			target := c.target
			if c.target == "/leave?upgrade" {
				target, fields = "/leave", "Connection: Upgrade\r\nUpgrade: echo\r\n"
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n%s", target, fields, c.body)
			<-p.begun
			switch c.target {
			case "/late", "/panic":
			case "/close":
				_ = closes()
			default:
				conn.Close()
			}
			if r := <-p.results; c.reason != proxy.ReasonNone && r.Reason != c.reason || r.Reason == proxy.ReasonNone || r.Wait > r.Total {
				t.Errorf("%s: %+v, want %v", c.target, r, c.reason)
			}
			if n := p.asked.Load() - before; n != c.nexts {
				t.Errorf("%s: %d calls of Next, want %d", c.target, n, c.nexts)
			}
			conn.Close()
		}
	})
}

// Functions that return while their clients leave, many times: every request ends once.
func TestAwaitedRequestsRace(t *testing.T) {
	eachAwaiting(t, func(t *testing.T, p *awaiting, addr string, _ func() error) {
		const conns, each = 8, 50
		for range conns * each {
			p.goOn <- true
		}
		var clients sync.WaitGroup
		for i := range conns {
			clients.Go(func() {
				for j := range each {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						t.Error(err)
						return
					}
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					<-p.begun
					if (i+j)%2 == 0 {
						_ = c.SetReadDeadline(time.Now().Add(time.Minute))
						if _, err := c.Read(make([]byte, 1)); err != nil {
							t.Error(err)
						}
					}
					c.Close()
				}
			})
		}
		clients.Wait()
		late := time.After(time.Minute)
		for i := range conns * each {
			select {
			case <-p.results:
			case <-late:
				t.Fatalf("%d of %d results", i, conns*each)
			}
		}
	})
}
