package queueproxy

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/quota"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// policy is the queue-proxy's rules: who is answered here, who waits, what the app gets to see, what is counted.
type policy struct {
	config     Config
	breaker    *throttler.Breaker // nil: no limit
	heads      *quota.Bound       // of requests that wait, in bytes
	stats      *metrics.Concurrency
	collectors *collectors // nil: off
	readiness  *readiness
	drain      *drain
	certs      *certs      // nil: no TLS
	up         atomic.Bool // the app has been up: from now on a refused connection is an error at once
	private    []string    // what the app neither gets nor says
	exchanges  sync.Pool
}

func (p *policy) appIsUp() {
	if !p.up.Load() { // a plain store for each request would bounce the cache line
		p.up.Store(true)
		p.readiness.ailment.well()
	}
}

// Begin makes the exchange of a probe or a request. A request counts from here, its wait included.
func (p *policy) Begin(req *proxy.Request) proxy.Exchange {
	if a := askerOf(req.Header); a != askedByNone {
		p.drain.probe()
		return &probe{policy: p, asker: a}
	}
	e := p.exchanges.Get().(*exchange)
	e.policy, e.trusted = p, p.trusts(req.RemoteAddr)
	if e.trusted {
		e.proxied = req.Header.Get(knative.HeaderProxyRequest) == knative.ProxyActivator
		e.noQueue = req.Header.Get(knative.HeaderNoQueue) == "1"
		e.misdirected = p.misdirected(req.Header)
	}
	p.drain.begin()
	if !e.noQueue && !e.misdirected {
		e.count(req.Arrived)
	}
	return e
}

// trusts reports whether a peer's internal headers are heeded.
func (p *policy) trusts(remote string) bool {
	if len(p.config.TrustedPeers) == 0 {
		return true
	}
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, prefix := range p.config.TrustedPeers {
		if prefix.Contains(ap.Addr().Unmap()) {
			return true
		}
	}
	return false
}

// misdirected reports whether a request is for another revision than the pod's, as it is when the pod has got the address
// of one that has gone, and who sent the request doesn't know yet. It has to name a namespace and a revision, which
// activators and ingresses set, whatever a client says; one that names this revision besides another is this one's.
func (p *policy) misdirected(h proxy.Header) bool {
	return p.config.Identity.Namespace != "" && p.config.Identity.Revision != "" &&
		h.Get(knative.HeaderNamespace) != "" && h.Get(knative.HeaderRevision) != "" &&
		!(says(h, knative.HeaderNamespace, p.config.Identity.Namespace) && says(h, knative.HeaderRevision, p.config.Identity.Revision))
}

// says reports whether one of the fields has that value.
func says(h proxy.Header, name, value string) bool {
	return h.Get(name) == value || slices.Contains(h.Values(name), value)
}

// exchange is one request on its way to the app.
type exchange struct {
	policy      *policy
	trusted     bool
	proxied     bool                    // came through the activator
	noQueue     bool                    // to be refused rather than queued
	misdirected bool                    // for another revision
	counted     bool                    // in stats
	holds       bool                    // a slot of the breaker
	bytes       int64                   // of the head, while it waits for one
	place       *throttler.BreakerPlace // in the queue for one
	deadline    *time.Timer             // of that wait
	pruned      bool                    // the header is as the app shall see it
	reached     bool                    // the app got it
	host        string
	entered     time.Time // zero: timeouts count from the arrival
	appSpent    time.Duration
}

func (e *exchange) count(now time.Time) {
	e.policy.stats.Start(now, e.proxied)
	e.counted = true
}

// Next takes a slot, waiting for it, and sends the request to the app.
func (e *exchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	p := e.policy
	if e.misdirected {
		return e.elsewhere(req, misdirected())
	}
	switch proxy.ReasonOf(a.Cause) {
	case proxy.ConnectRefused, proxy.ConnectTimeout: // there is no other pod to go to, save for the activator
		return e.down(req, a.Cause)
	}
	if p.breaker != nil && !e.holds {
		switch waits, err := e.enter(req, a.Ended); {
		case err != nil:
			return e.refusal(req, err)
		case waits:
			return proxy.Wait(), nil
		case !e.holds:
			return e.busy(req), nil
		}
	}
	if !e.counted {
		e.count(time.Now())
	}
	if err := e.awaitStart(req); err != nil {
		return proxy.Decision{}, late(err, func() string { return p.readiness.ailment.refuses(p.config.UserAddr) })
	}
	if !e.pruned {
		e.host, e.pruned = p.prune(req.Header, e.trusted), true
	}
	return proxy.Forward(proxy.Upstream{Addr: p.config.UserAddr, Host: e.host, Timeouts: p.config.Timeouts, From: e.entered}), nil
}

// enter takes a slot, or a place in the queue for one, in which it waits. With neither, nor an error, the request must
// not wait. It is called again when that wait is over, with what ended it if that was not a slot.
func (e *exchange) enter(req *proxy.Request, ended error) (waits bool, err error) {
	p := e.policy
	switch {
	case e.place != nil:
		err = e.seat(ended)
	case p.breaker.TryAcquire():
	case e.noQueue:
		return false, nil
	default:
		if waits, err = e.queue(req); waits {
			return true, nil
		}
	}
	e.holds = err == nil
	return false, err
}

// queue takes a place in the queue, where a request waits under its timeouts unless the wait has a deadline of its own; or
// a slot, if there is one by now.
func (e *exchange) queue(req *proxy.Request) (waits bool, err error) {
	e.bytes = int64(req.HeadBytes())
	if !e.policy.heads.Take(e.bytes, 0, 0) {
		e.bytes = 0
		return false, throttler.ErrQueueFull
	}
	wake := req.Suspend(e.waiting())
	if e.place, err = e.policy.breaker.Queue(wake); e.place == nil {
		e.forgetHead()
		return false, err
	}
	if d := e.policy.config.QueueDeadline; d > 0 {
		e.deadline = time.AfterFunc(d, wake)
	}
	return true, nil
}

// forgetHead says that the head isn't one of a request that waits any more.
func (e *exchange) forgetHead() {
	e.policy.heads.Give(e.bytes)
	e.bytes = 0
}

// seat ends the wait in the queue.
func (e *exchange) seat(ended error) error {
	e.forgetHead()
	if e.deadline != nil {
		e.deadline.Stop()
		if ended == nil {
			ended = errQueueDeadline()
		}
		e.entered = time.Now()
	}
	err := e.place.Leave(ended)
	e.place, e.deadline = nil, nil
	return err
}

// waiting is what bounds a wait.
func (e *exchange) waiting() proxy.Timeouts {
	e.host = strings.Clone(e.host) // of an attempt before: it may point into the head, which moves
	if e.policy.config.QueueDeadline > 0 {
		return proxy.Timeouts{}
	}
	return e.policy.config.Timeouts
}

// awaitStart waits, for as long as the app has never been up, until it listens: a connection would only be refused. The
// slot is held meanwhile: nobody else could use it. When the app doesn't come up in time the attempt that follows says
// why.
func (e *exchange) awaitStart(req *proxy.Request) error {
	if e.policy.up.Load() {
		return nil
	}
	ctx := req.Park(e.waiting())
	e.policy.readiness.awaitListen(ctx)
	return context.Cause(ctx)
}

// prune makes the header what the app shall see, and returns the Host that the client asked for; empty when it is the
// request's.
func (p *policy) prune(h proxy.Header, trusted bool) (host string) {
	h.Del(knative.HeaderNamespace)
	h.Del(knative.HeaderRevision)
	if h.Has(knative.HeaderNoQueue) {
		// An activator that spills over keeps a large body back until it is let in, which it is now, whatever the app thinks
		// of expectations.
		h.Del("Expect")
	}
	if trusted {
		host = h.Get(knative.HeaderOriginalHost)
	} else {
		h.Del(knative.HeaderProxyRequest)
	}
	for _, name := range p.private {
		h.Del(name)
	}
	addForwarded(h)
	return host
}

// Response is told that the app answers.
func (e *exchange) Response(*proxy.Request, *proxy.Response) bool {
	e.policy.appIsUp()
	return true
}

// Release gives the slot to the next in line; not when the app has closed a pooled connection, and the request is to be
// sent once more over a fresh one: it has had its turn, and would lose it.
func (e *exchange) Release(_ proxy.Upstream, o proxy.AttemptResult) {
	if o.Reason != proxy.ConnectRefused && o.Reason != proxy.ConnectTimeout {
		e.reached, e.appSpent = true, o.Total
	}
	if o.Reason == proxy.UpstreamClosed && o.Reused && o.Status == 0 {
		return // Next takes the slot over, or End gives it back
	}
	if o.Status == 0 {
		e.policy.readiness.ailment.unanswered(o.Reason)
	}
	e.leave()
}

func (e *exchange) leave() {
	if e.holds {
		e.holds = false
		e.policy.breaker.Release()
	}
}

// End counts the request, save one that was sent elsewhere: it will be counted there.
func (e *exchange) End(req *proxy.Request, r proxy.Result) {
	p := e.policy
	if e.place != nil { // a policy around this one hasn't let the wait come to its end
		e.holds = e.seat(context.Canceled) == nil
	}
	e.leave()
	now := req.Arrived.Add(r.Total) // the clock has just been read for it
	if e.counted {
		p.stats.End(now, e.proxied)
	}
	if p.collectors != nil {
		p.collectors.count(e, req, r)
	}
	p.drain.end(now)
	*e = exchange{}
	p.exchanges.Put(e)
}
