package proxytest

import (
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// script is the policy of a case: it is made of functions or, on the path of a product, is the product's own, if the script
// only forwards to one upstream. In both cases it checks the order of calls.
type script struct {
	t        testing.TB
	upstream *proxy.Upstream // the upstream to configure in a product; nil: no product can do the same
	limit    int             // requests at once, for a product
	front    bool            // watch the policy of a product next to the client, not the one next to the app

	begin    func(req *proxy.Request) // nil: nothing
	next     func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error)
	response func(req *proxy.Request, resp *proxy.Response) bool // nil: pass

	outcomes chan proxy.AttemptResult
	results  chan proxy.Result
	entered  chan bool // gets a value at each request's first Next
}

func newScript(next func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error)) *script {
	return &script{
		next: next, outcomes: make(chan proxy.AttemptResult, 1000), results: make(chan proxy.Result, 1000), entered: make(chan bool, 1000),
	}
}

// to forwards all requests to upstream, and retries if package proxy asks for that.
func to(upstream proxy.Upstream) *script {
	s := newScript(func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		if proxy.ReasonOf(a.Cause) == proxy.ConnectRefused || proxy.ReasonOf(a.Cause) == proxy.ConnectTimeout {
			return proxy.Decision{}, a.Cause // as queue-proxies do, which have no other upstream
		}
		return proxy.Forward(upstream), nil
	})
	s.upstream = &upstream
	return s
}

func (s *script) Begin(*proxy.Request) proxy.Exchange { return scripted{s} }

// asProduct reports whether a product can be like s.
func (s *script) asProduct() bool {
	return s.upstream != nil && s.response == nil && s.upstream.Host == "" && s.upstream.TLS == nil && s.upstream.From.IsZero()
}

// setting is the configuration with which a product is like s.
func (s *script) setting() Setting {
	return Setting{
		App: s.upstream.Addr, Proto: s.upstream.Proto, Limit: s.limit, Timeouts: s.upstream.Timeouts,
		Watch: s.watch, AtFront: s.front,
	}
}

// scripted is an exchange of a script.
type scripted struct{ *script }

func (x scripted) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	return x.next(req, a)
}

func (x scripted) Response(req *proxy.Request, resp *proxy.Response) bool {
	return x.response == nil || x.response(req, resp)
}

func (scripted) Release(proxy.Upstream, proxy.AttemptResult) {}
func (scripted) End(*proxy.Request, proxy.Result)            {}

// occupant is the target of a request that is not watched.
const occupant = "/occupant"

// watch checks that the implementation calls in the order that the seam promises, and reports the calls to s.
func (s *script) watch(p proxy.Policy) proxy.Policy {
	return policy(func(req *proxy.Request) proxy.Exchange {
		if req.Target == occupant {
			return p.Begin(req)
		}
		if s.begin != nil {
			s.begin(req)
		}
		return &watched{Exchange: p.Begin(req), script: s}
	})
}

type policy func(*proxy.Request) proxy.Exchange

func (p policy) Begin(req *proxy.Request) proxy.Exchange { return p(req) }

// watched is an exchange that records its calls.
type watched struct {
	proxy.Exchange
	script   *script
	busy     atomic.Bool
	entered  bool // Next has been called
	upstream bool // Next has returned an upstream that is not released yet
	begun    bool // the final answer may have begun
	ended    bool
}

// enter checks that no two calls overlap and none comes after End.
func (x *watched) enter(call string) (leave func()) {
	if !x.busy.CompareAndSwap(false, true) {
		x.script.t.Errorf("%s during another call", call)
	}
	if x.ended {
		x.script.t.Errorf("%s after End", call)
	}
	return func() { x.busy.Store(false) }
}

func (x *watched) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	defer x.enter("Next")()
	if x.upstream {
		x.script.t.Error("Next before the earlier upstream's Release")
	}
	if (a.N == 0) != (a.Cause == nil) || a.N > 2 || a.Last != (a.N == 2) {
		x.script.t.Errorf("Next for attempt %+v", a)
	}
	if !x.entered {
		x.entered = true
		select {
		case x.script.entered <- true:
		default: // no case reads so many
		}
	}
	d, err := x.Exchange.Next(req, a)
	x.upstream = err == nil && d.Local == nil && !d.Wait
	return d, err
}

func (x *watched) Response(req *proxy.Request, resp *proxy.Response) bool {
	defer x.enter("Response")()
	if !x.upstream {
		x.script.t.Error("Response without an upstream")
	}
	pass := x.Exchange.Response(req, resp)
	x.begun = x.begun || pass && resp.Status != proxy.StatusClientClosedRequest
	return pass
}

func (x *watched) Release(h proxy.Upstream, o proxy.AttemptResult) {
	defer x.enter("Release")()
	if !x.upstream {
		x.script.t.Error("Release without an upstream, or twice")
	}
	x.upstream = false
	x.Exchange.Release(h, o)
	x.script.outcomes <- o
}

func (x *watched) End(req *proxy.Request, r proxy.Result) {
	defer x.enter("End")()
	if x.upstream {
		x.script.t.Error("End before Release")
	}
	x.ended = true
	if gone := r.Reason == proxy.ClientGone; gone != (r.Status == proxy.StatusClientClosedRequest) && !x.begun {
		x.script.t.Errorf("reason %q, but status %d, of a request whose answer has not begun", r.Reason, r.Status)
	}
	x.Exchange.End(req, r)
	x.script.results <- r
}
