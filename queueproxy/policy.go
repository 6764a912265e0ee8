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

// policy has the queue-proxy's rules: which requests it answers itself, which wait, what the app receives, what is counted.
type policy struct {
	config     Config
	breaker    *throttler.Breaker // nil: no limit
	heads      *quota.Bound       // of requests that wait, in bytes
	stats      *metrics.Concurrency
	collectors *collectors // nil: off
	readiness  *readiness
	drain      *drain
	certs      *certs      // nil: no TLS
	up         atomic.Bool // the app has been up: from now on requests don't wait for it to listen
	private    []string    // fields that the app neither receives nor may send
	exchanges  sync.Pool
}

func (p *policy) appIsUp() {
	if !p.up.Load() { // a store for each request would move the cache line between CPUs
		p.up.Store(true)
		p.readiness.diagnosis.ready()
	}
}

// Begin returns the exchange of a probe or a request. Statistics count a request from here, its wait included.
func (p *policy) Begin(req *proxy.Request) proxy.Exchange {
	if a := askerOf(req.Header); a != askedByNone {
		p.drain.noteProbe()
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

// trusts reports whether the internal headers of this peer take effect.
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

// misdirected reports whether a request is for another revision than the pod's: the pod may have the address of a deleted
// pod, to which a proxy still sends requests. Such a request has both headers, which activators and ingresses set in
// place of a client's; if one of their values names this revision, the request is for this one.
func (p *policy) misdirected(h proxy.Header) bool {
	return p.config.Identity.Namespace != "" && p.config.Identity.Revision != "" &&
		h.Get(knative.HeaderNamespace) != "" && h.Get(knative.HeaderRevision) != "" &&
		!(hasValue(h, knative.HeaderNamespace, p.config.Identity.Namespace) && hasValue(h, knative.HeaderRevision, p.config.Identity.Revision))
}

// hasValue reports whether one of the fields has that value.
func hasValue(h proxy.Header, name, value string) bool {
	return h.Get(name) == value || slices.Contains(h.Values(name), value)
}

// exchange is one request on its way to the app.
type exchange struct {
	policy      *policy
	trusted     bool
	proxied     bool                    // it came through the activator
	noQueue     bool                    // without a free slot it is refused, not queued
	misdirected bool                    // it is for another revision
	counted     bool                    // stats count it
	holds       bool                    // it holds a slot of the breaker
	bytes       int64                   // size of the head, while it waits for a slot
	place       *throttler.BreakerPlace // its place in the queue
	start       func() (_, _ bool)      // ends its wait for the app to start; nil: it doesn't wait
	deadline    *time.Timer             // of either wait
	explained   *outcome                // with what is wrong with the app; nil: nothing is, or it isn't known yet
	pruned      bool                    // its header is ready for the app
	reached     bool                    // the app received it
	host        string
	entered     time.Time // zero: timeouts count from the arrival
	appSpent    time.Duration
}

func (e *exchange) count(now time.Time) {
	e.policy.stats.Start(now, e.proxied)
	e.counted = true
}

// Next takes a slot, or has the request wait for one, and forwards it to the app.
func (e *exchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	p := e.policy
	switch {
	case e.explained != nil:
		return e.explained.decision, e.explained.err
	case e.misdirected:
		return e.elsewhere(req, misdirected())
	}
	switch proxy.ReasonOf(a.Cause) {
	case proxy.ConnectRefused, proxy.ConnectTimeout: // only an activator can send it to another pod
		return e.explain(req, func() (proxy.Decision, error) { return e.down(req, a.Cause) }), nil
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
	switch waits, err := e.awaitStart(req, a.Ended); {
	case err != nil:
		return e.explain(req, func() (proxy.Decision, error) { return proxy.Decision{}, late(err, e.notListening) }), nil
	case waits:
		return proxy.Wait(), nil
	}
	if !e.pruned {
		e.host, e.pruned = p.prune(req.Header, e.trusted), true
	}
	return proxy.Forward(proxy.Upstream{Addr: p.config.UserAddr, Host: e.host, Timeouts: p.config.Timeouts, From: e.entered}), nil
}

// enter takes a slot or a place in the queue; a request that may not wait may get neither. After a wait it is called
// again: ended is what ended the wait, nil if that was a slot or the queue's deadline.
func (e *exchange) enter(req *proxy.Request, ended error) (waits bool, err error) {
	p := e.policy
	switch {
	case e.place != nil:
		err = e.endWait(ended)
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

// queue takes a place in the queue, or a slot if one is free by now. Unless there is a deadline for the queue, the
// request waits under its own timeouts.
func (e *exchange) queue(req *proxy.Request) (waits bool, err error) {
	e.bytes = int64(req.HeadBytes())
	if !e.policy.heads.Take(e.bytes, 0, 0) {
		e.bytes = 0
		return false, throttler.ErrQueueFull
	}
	wake := req.Suspend(e.waiting())
	if e.place, err = e.policy.breaker.Queue(wake); e.place == nil {
		e.releaseHead()
		return false, err
	}
	if d := e.policy.config.QueueDeadline; d > 0 {
		e.deadline = time.AfterFunc(d, wake)
	}
	return true, nil
}

func (e *exchange) releaseHead() {
	e.policy.heads.Give(e.bytes)
	e.bytes = 0
}

// endWait gives the place in the queue back.
func (e *exchange) endWait(ended error) error {
	e.releaseHead()
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

// waiting returns the timeouts of a wait.
func (e *exchange) waiting() proxy.Timeouts {
	e.host = strings.Clone(e.host) // of an earlier attempt: it may point into the head, which a wait moves
	if e.policy.config.QueueDeadline > 0 {
		return proxy.Timeouts{}
	}
	return e.policy.config.Timeouts
}

// awaitStart has the request wait until the app listens, if it has never been up: it would only refuse a connection. The
// request keeps its slot, which no other could use either. If the app doesn't listen in time, the next attempt fails and
// reports why. After the wait it is called again: ended is what ended the wait early.
func (e *exchange) awaitStart(req *proxy.Request, ended error) (waits bool, err error) {
	switch {
	case e.start != nil:
		e.endStart()
		return false, ended
	case e.policy.up.Load():
		return false, nil
	}
	wake := req.Suspend(e.waiting())
	e.start = e.policy.readiness.listen.join(wake)
	e.deadline = time.AfterFunc(startPatience, wake)
	return true, nil
}

// endStart ends the wait for the app to start.
func (e *exchange) endStart() {
	e.start()
	e.deadline.Stop()
	e.start, e.deadline = nil, nil
}

// prune removes from the header what the app must not receive, and returns the Host of the client's request; empty if
// the request still has it.
func (p *policy) prune(h proxy.Header, trusted bool) (host string) {
	h.Del(knative.HeaderNamespace)
	h.Del(knative.HeaderRevision)
	if h.Has(knative.HeaderNoQueue) {
		// An activator sends a large body of a spilled-over request only after 100 (Continue). The request has its slot
		// now, so the queue-proxy sends that, whether or not the app supports expectations.
		h.Del("Expect")
	}
	if trusted {
		host = h.Get(knative.HeaderOriginalHost)
	} else {
		h.Del(knative.HeaderProxyRequest)
	}
	if h.Get(knative.HeaderProxyRequest) != knative.ProxyActivator {
		h.Del(knative.HeaderKeyEpoch)
	}
	for _, name := range p.private {
		h.Del(name)
	}
	addForwarded(h)
	return host
}

// Response notes that the app is up.
func (e *exchange) Response(*proxy.Request, *proxy.Response) bool {
	e.policy.appIsUp()
	return true
}

// Release frees the slot, unless the app closed a pooled connection before it responded: the request keeps its slot for
// the retry on a new connection.
func (e *exchange) Release(_ proxy.Upstream, o proxy.AttemptResult) {
	if o.Reason != proxy.ConnectRefused && o.Reason != proxy.ConnectTimeout {
		e.reached, e.appSpent = true, o.Total
	}
	if o.Reason == proxy.UpstreamClosed && o.Reused && o.Status == 0 {
		return // Next uses the slot, or End frees it
	}
	if o.Status == 0 {
		e.policy.readiness.diagnosis.noResponse(o.Reason)
	}
	e.leave()
}

func (e *exchange) leave() {
	if e.holds {
		e.holds = false
		e.policy.breaker.Release()
	}
}

// End counts the request, unless it is sent to another pod, which counts it.
func (e *exchange) End(req *proxy.Request, r proxy.Result) {
	p := e.policy
	switch { // a policy around this one answered while the request waited
	case e.place != nil:
		e.holds = e.endWait(context.Canceled) == nil
	case e.start != nil:
		e.endStart()
	}
	e.leave()
	now := req.Arrived.Add(r.Total) // saves another reading of the clock
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
