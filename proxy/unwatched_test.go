package proxy_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// An engine tells once that it can't watch a client whose request takes its time.
func TestOnUnwatchedInAnEngine(t *testing.T) {
	var told atomic.Int32
	var unseen atomic.Bool
	h, err := proxy.New(proxy.Config{Name: "x", OnUnwatched: func() { told.Add(1) }, Policy: policyFuncs{
		next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
			if r.Target == "/slow" && !r.Header.Has("Waited") {
				return r.Await(proxy.Timeouts{}, func(context.Context) {
					r.Header.Set("Waited", "1")
					time.Sleep(50 * time.Millisecond) // more than the age at which it is looked for
					for end := time.Now().Add(time.Minute); unseen.Load() && told.Load() == 0 && time.Now().Before(end); {
						time.Sleep(time.Millisecond)
					}
				}), nil
			}
			return proxy.Answer(&proxy.Local{Status: 204}), nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, h)
	for _, hidden := range []bool{false, true} {
		unseen.Store(hidden)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		e, done := proxy.NewEngine(h, proxy.ServerConfig{}), make(chan struct{})
		go func() { defer close(done); _ = e.Serve(hiding{l, hidden}) }()
		t.Cleanup(func() { e.Close(); <-done })
		for i, target := range []string{"/", "/slow", "/slow"} {
			conn, in := dialEngine(t, l.Addr().String())
			_, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")
			if resp, _ := readAnswer(t, in, "GET"); resp.StatusCode != 204 {
				t.Errorf("%s", resp.Status)
			}
			if hidden && i == 0 {
				continue // which the machine may have made slow
			}
			want := int32(0)
			if hidden {
				want = 1
			}
			if n := told.Load(); n != want {
				t.Errorf("hidden %v, after request %d: told %d times, want %d", hidden, i, n, want)
			}
		}
	}
}

// hiding is a listener whose connections don't show their sockets, if they are to be hidden.
type hiding struct {
	net.Listener
	hide bool
}

func (l hiding) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.hide {
		c = struct{ net.Conn }{c}
	}
	return c, err
}
