package proxytest

import (
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// script is what a case has for a policy: one made of functions, or, on the path of a product, the product's own, which
// goes to one upstream too. Either is watched.
type script struct {
	t        testing.TB
	upstream *proxy.Upstream // what a product is told to do likewise; nil: none can
	limit    int             // of requests at once, for a product
	front    bool            // a product is watched next to the client, not next to the app

	begin    func(req *proxy.Request) // nil: nothing
	next     func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error)
	response func(req *proxy.Request, resp *proxy.Response) bool // nil: pass

	outcomes chan proxy.AttemptResult
	results  chan proxy.Result
	entered  chan bool // told of each request that asks where to go
}

func newScript(next func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error)) *script {
	return &script{
		next: next, outcomes: make(chan proxy.AttemptResult, 1000), results: make(chan proxy.Result, 1000), entered: make(chan bool, 1000),
	}
}

// to sends everything to upstream, once more too if package proxy asks for that.
func to(upstream proxy.Upstream) *script {
	s := newScript(func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		if proxy.ReasonOf(a.Cause) == proxy.ConnectRefused || proxy.ReasonOf(a.Cause) == proxy.ConnectTimeout {
			return proxy.Decision{}, a.Cause // as queue-proxies do: there is no other
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

// setting is what a product has to be to be like s.
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

// occupant is the target of a request that nobody watches.
const occupant = "/occupant"

// watch holds the implementation to the order of calls that the seam promises, and tells s of them.
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

// watched is an exchange and what has been called of it.
type watched struct {
	proxy.Exchange
	script   *script
	busy     atomic.Bool
	entered  bool // Next
	upstream bool // Next has returned one that is not released yet
	begun    bool // the final answer may have
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
		default: // nobody counts so many
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
