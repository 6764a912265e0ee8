package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// suspending has its requests wait without a goroutine until they are let go, or as their target says.
type suspending struct {
	app     string
	asked   chan func() // wakes
	results chan proxy.Result
}

func (p *suspending) Begin(*proxy.Request) proxy.Exchange { return &suspended{policy: p} }

type suspended struct {
	proxy.NopExchange
	policy *suspending
	nexts  int
}

func (x *suspended) Next(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	x.nexts++
	switch {
	case a.Ended != nil:
		return proxy.Decision{}, a.Ended
	case r.Target == "/again" && x.nexts < 4, x.nexts == 1:
		var t proxy.Timeouts
		if r.Target == "/late" {
			t.ResponseStart = 50 * time.Millisecond
		}
		wake := r.Suspend(t)
		switch r.Target {
		case "/early":
			wake()
			wake()
		case "/panic":
			panic("after Suspend")
		case "/not":
			return proxy.Forward(proxy.Upstream{Addr: x.policy.app}), nil
		default:
			x.policy.asked <- wake
		}
		return proxy.Wait(), nil
	}
	r.Header.Set("X-Nexts", fmt.Sprint(x.nexts))
	return proxy.Forward(proxy.Upstream{Addr: x.policy.app}), nil
}
func (x *suspended) End(_ *proxy.Request, r proxy.Result) { x.policy.results <- r }

// eachServer runs f with each server of a policy of this kind.
func eachServer(t *testing.T, f func(t *testing.T, p *suspending, addr string)) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Nexts"), b)
	}))
	t.Cleanup(app.Close)
	eachServerOf(t, func() proxy.Policy {
		return &suspending{app.Listener.Addr().String(), make(chan func(), 100), make(chan proxy.Result, 100)}
	}, func(t *testing.T, p proxy.Policy, addr string, _ func() error) { f(t, p.(*suspending), addr) })
}

// eachServerOf runs f with an Engine and with a Handler in a server of NewServer, each of a policy of its own.
func eachServerOf(t *testing.T, policy func() proxy.Policy, f func(t *testing.T, p proxy.Policy, addr string, closes func() error)) {
	for _, name := range []string{"engine", "handler"} {
		t.Run(name, func(t *testing.T) {
			p := policy()
			h, err := proxy.New(proxy.Config{Name: "x", Policy: p})
			if err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var s interface {
				Serve(net.Listener) error
				Close() error
			} = proxy.NewEngine(h, proxy.ServerConfig{})
			if name == "handler" {
				s = proxy.NewServer(h, proxy.ServerConfig{})
			}
			done := make(chan struct{})
			go func() { defer close(done); _ = s.Serve(l) }()
			defer func() { s.Close(); <-done; h.Close() }()
			f(t, p, l.Addr().String(), s.Close)
		})
	}
}

// What is suspended goes on when it is woken, as often as Next says so, with its body, and the connection after it.
func TestSuspendedRequestsGoOn(t *testing.T) {
	eachServer(t, func(t *testing.T, p *suspending, addr string) {
		conn, in := dialEngine(t, addr)
		for _, c := range []struct {
			target, body, want string
			wakes              int
		}{
			{"/", "", "2 ", 1},
			{"/again", "", "4 ", 3},
			{"/early", "", "2 ", 0},
			{"/not", "", " ", 0},
			{"/", "Content-Length: 4\r\n\r\nb|ody", "2 body", 1},
			{"/again", "Transfer-Encoding: chunked\r\n\r\n4\r\nbo|dy\r\n0\r\n\r\n", "4 body", 3},
		} {
			head := "GET " + c.target + " HTTP/1.1\r\nHost: x\r\n"
			first, rest, _ := strings.Cut(c.body, "|")
			if c.body == "" {
				first = "\r\n"
			}
			io.WriteString(conn, head+first)
			for i := range c.wakes {
				wake := <-p.asked
				if i == 0 {
					time.Sleep(5 * time.Millisecond) // mostly for its goroutine to end
				}
				wake()
				wake()
			}
			io.WriteString(conn, rest)
			resp, body := readAnswer(t, in, "GET")
			if resp.StatusCode != 200 || body != c.want {
				t.Errorf("%s: %s %q, want %q", c.target, resp.Status, body, c.want)
			}
			if r := <-p.results; r.Attempts != 1 || r.Reason != proxy.ReasonNone || c.wakes > 0 && r.Wait < 5*time.Millisecond {
				t.Errorf("%s: %+v", c.target, r)
			}
		}
	})
}

// A wait without a goroutine ends with the client, with its time, with a panic, and with Next's thinking better of it.
func TestSuspendedRequestsEnd(t *testing.T) {
	eachServer(t, func(t *testing.T, p *suspending, addr string) {
		for _, c := range []struct {
			target string
			body   string
			reason proxy.Reason
		}{
			{"/", "", proxy.ClientGone},
			{"/", "unread", proxy.ClientGone},
			{"/?upgrade", "", proxy.ClientGone},
			{"/late", "", proxy.TimeoutStart},
			{"/panic", "", proxy.Internal},
		} {
			conn, _ := dialEngine(t, addr)
			fields := fmt.Sprintf("Content-Length: %d\r\n", len(c.body))
			if c.target == "/?upgrade" {
				fields = "Connection: Upgrade\r\nUpgrade: echo\r\n"
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n%s", c.target, fields, c.body)
			var wake func()
			if c.reason == proxy.ClientGone || c.target == "/late" {
				wake = <-p.asked
			}
			if c.reason == proxy.ClientGone {
				conn.Close()
			}
			if r := <-p.results; r.Reason != c.reason || r.Wait > r.Total {
				t.Errorf("%s: %+v, want %v", c.target, r, c.reason)
			}
			if wake != nil {
				wake() // nobody's any more
			}
			conn.Close()
		}
	})
}

// Waking and leaving at once, many times: every request ends once, and a late wake has no effect on another one.
func TestSuspendedRequestsRace(t *testing.T) {
	eachServer(t, func(t *testing.T, p *suspending, addr string) {
		var all sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			for {
				select {
				case wake := <-p.asked:
					go wake()
					wake()
				case <-ctx.Done():
					return
				}
			}
		})
		const conns, each = 8, 50
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
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range conns * each {
				<-p.results
			}
		}()
		clients.Wait()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Errorf("%d results are missing", conns*each-len(p.results))
		}
		cancel()
		all.Wait()
	})
}
