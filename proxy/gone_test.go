package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// gonePolicy sends everything to one upstream, and tells what became of it.
type gonePolicy struct {
	proxy.NopExchange
	addr     string
	outcomes chan proxy.AttemptResult
}

func (p *gonePolicy) Begin(*proxy.Request) proxy.Exchange { return p }
func (p *gonePolicy) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Forward(proxy.Upstream{Addr: p.addr}), nil
}
func (p *gonePolicy) Release(_ proxy.Upstream, o proxy.AttemptResult) { p.outcomes <- o }

// A client that leaves in the middle of a dial has shown nothing of the upstream: there is no Connect.
func TestNoConnectWithoutAConnection(t *testing.T) {
	for name, run := range map[string]func(testing.TB, proxy.Config) string{"engine": serveEngine, "handler": serve} {
		t.Run(name, func(t *testing.T) {
			p := &gonePolicy{addr: "192.0.2.1:1", outcomes: make(chan proxy.AttemptResult, 1)}
			dialling := make(chan struct{})
			addr := run(t, proxy.Config{Name: "x", Policy: p, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				close(dialling)
				<-ctx.Done()
				return nil, ctx.Err()
			}})
			conn, _ := dialEngine(t, addr)
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			<-dialling
			conn.Close()
			if o := <-p.outcomes; o.Reason != proxy.ClientGone || o.Connect != 0 {
				t.Errorf("%+v", o)
			}
		})
	}
}

// An upgrade is watched until it is granted, however long that takes, and from then on its client may end its half.
func TestUpgradeIsWatchedUntilGranted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	granted := make(chan net.Conn, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			granted <- c
		}
	}()
	p := &gonePolicy{addr: l.Addr().String(), outcomes: make(chan proxy.AttemptResult, 1)}
	addr := serveEngine(t, proxy.Config{Name: "x", Policy: p})
	const head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

	conn, in := dialEngine(t, addr)
	io.WriteString(conn, head)
	upstream := <-granted
	time.Sleep(100 * time.Millisecond) // it is slow, and watched
	io.WriteString(upstream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	io.WriteString(conn, "up")
	_ = conn.(*net.TCPConn).CloseWrite()
	up, err := io.ReadAll(upstream)
	for i := len("GET / HTTP/1.1\r\n"); i < len(up); i++ { // behind the head
		if string(up[i-4:i]) == "\r\n\r\n" {
			up = up[i:]
		}
	}
	if err != nil || string(up) != "up" {
		t.Errorf("the upstream got %q, %v", up, err)
	}
	time.Sleep(50 * time.Millisecond) // a watch would have been told of the end by now
	io.WriteString(upstream, "down")
	upstream.Close()
	if down, err := io.ReadAll(in); err != nil || string(down) != "down" {
		t.Errorf("the client got %q, %v", down, err)
	}
	if o := <-p.outcomes; o.Reason != proxy.ReasonNone {
		t.Errorf("%+v", o)
	}

	conn, _ = dialEngine(t, addr)
	io.WriteString(conn, head)
	defer (<-granted).Close()
	conn.Close()
	if o := <-p.outcomes; o.Reason != proxy.ClientGone {
		t.Errorf("%+v", o)
	}
}

// An answer of a policy's own to a client that has gone is none, as 499 is no status that is sent.
func TestF6LocalAnswerToAClientThatHasGone(t *testing.T) {
	for name, run := range map[string]func(testing.TB, proxy.Config) string{"engine": serveEngine, "handler": serve} {
		t.Run(name, func(t *testing.T) {
			results := make(chan proxy.Result, 1)
			addr := run(t, proxy.Config{Name: "x", Policy: policyFuncs{
				next: func(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
					return proxy.Answer((&proxy.Error{Reason: proxy.ClientGone}).Local(r, "x")), nil
				},
				end: func(r proxy.Result) { results <- r },
			}})
			conn, in := dialEngine(t, addr)
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if b, err := io.ReadAll(in); len(b) > 0 {
				t.Errorf("%q came, %v", b, err)
			}
			if r := <-results; r.Reason != proxy.ClientGone || r.Status != proxy.StatusClientClosedRequest {
				t.Errorf("%+v", r)
			}
		})
	}
}
