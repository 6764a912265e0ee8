package proxytest

import (
	"context"
	"io"
	"net/http"

	"github.com/sluice-proxy/sluice/proxy"
)

// wait is a way in which a policy waits for something that never comes.
type wait func(req *proxy.Request, a proxy.Attempt, t proxy.Timeouts) (proxy.Decision, error)

func suspends(req *proxy.Request, a proxy.Attempt, t proxy.Timeouts) (proxy.Decision, error) {
	if a.Ended != nil {
		return proxy.Decision{}, a.Ended
	}
	req.Suspend(t)
	return proxy.Wait(), nil
}

func awaits(req *proxy.Request, a proxy.Attempt, t proxy.Timeouts) (proxy.Decision, error) {
	if a.Ended != nil {
		return proxy.Decision{}, a.Ended
	}
	return req.Await(t, func(ctx context.Context) { <-ctx.Done() }), nil
}

// waits are all ways; a product has its own.
func (r *rig) waits() []wait {
	if r.path.Product != nil {
		return []wait{nil}
	}
	return []wait{suspends, awaits}
}

// parking makes a proxy in which requests wait until their timeout t. In a product they wait for the only slot, which a request
// that is not watched occupies.
func (r *rig) parking(t proxy.Timeouts, wait wait) (addr string, p *script) {
	p = newScript(func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) { return wait(req, a, t) })
	taken := make(chan bool, 100)
	app := r.app(func(_ http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body) // otherwise net/http doesn't notice the end of the connection
		taken <- true
		<-req.Context().Done()
	})
	p.upstream, p.limit, p.front = &proxy.Upstream{Addr: app, Timeouts: t}, 1, true
	addr = r.proxy(p, proxy.Config{OnUnwatched: func() { r.Error("OnUnwatched was called") }})
	if r.path.Product != nil {
		r.dial(addr).send("GET " + occupant + " HTTP/1.1\r\nHost: x\r\n\r\n")
		take(r, "the first request", taken)
	}
	return addr, p
}
