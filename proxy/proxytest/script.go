package proxytest

import (
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// script is a policy made of functions. It holds the implementation to the order of calls that the seam promises.
type script struct {
	t        testing.TB
	next     func(req *proxy.Request, a proxy.Attempt) (proxy.Hop, error)
	response func(req *proxy.Request, resp *proxy.Response) bool // nil: pass
	outcomes chan proxy.Outcome
	results  chan proxy.Result
}

func newScript(next func(req *proxy.Request, a proxy.Attempt) (proxy.Hop, error)) *script {
	return &script{next: next, outcomes: make(chan proxy.Outcome, 1000), results: make(chan proxy.Result, 1000)}
}

// to sends everything to hop, once.
func to(hop proxy.Hop) *script {
	return newScript(func(_ *proxy.Request, a proxy.Attempt) (proxy.Hop, error) { return hop, a.Cause })
}

func (s *script) Begin(*proxy.Request) proxy.Exchange { return &scripted{script: s} }

// scripted is an exchange of a script.
type scripted struct {
	*script
	busy  atomic.Bool
	hop   bool // Next has returned one that is not released yet
	local bool
	ended bool
}

// enter checks that no two calls overlap and none comes after End.
func (x *scripted) enter(call string) (leave func()) {
	if !x.busy.CompareAndSwap(false, true) {
		x.t.Errorf("%s during another call", call)
	}
	if x.ended {
		x.t.Errorf("%s after End", call)
	}
	return func() { x.busy.Store(false) }
}

func (x *scripted) Next(req *proxy.Request, a proxy.Attempt) (proxy.Hop, error) {
	defer x.enter("Next")()
	if x.hop {
		x.t.Error("Next before the earlier hop's Release")
	}
	if (a.N == 0) != (a.Cause == nil) || a.N > 2 || !a.Replayable {
		x.t.Errorf("Next for attempt %+v", a)
	}
	hop, err := x.next(req, a)
	x.hop, x.local = err == nil, hop.Local != nil
	return hop, err
}

func (x *scripted) Response(req *proxy.Request, resp *proxy.Response) bool {
	defer x.enter("Response")()
	if !x.hop || x.local {
		x.t.Error("Response without a hop")
	}
	return x.response == nil || x.response(req, resp)
}

func (x *scripted) Release(_ proxy.Hop, o proxy.Outcome) {
	defer x.enter("Release")()
	if !x.hop {
		x.t.Error("Release without a hop, or twice")
	}
	x.hop = false
	x.outcomes <- o
}

func (x *scripted) End(_ *proxy.Request, r proxy.Result) {
	defer x.enter("End")()
	if x.hop {
		x.t.Error("End before Release")
	}
	x.ended = true
	x.results <- r
}
