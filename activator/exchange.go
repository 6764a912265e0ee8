package activator

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/quota"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// exchange is one request. It is pooled: End gives it back.
type exchange struct {
	a       *Activator
	local   *proxy.Local // a probe, answered by the activator itself
	t       *tracked     // nil: local, early, or err says why
	err     error
	early   *throttler.RevisionID // it came before the source had told everything, and its revision isn't known
	spec    *spec
	stats   *metrics.RevisionLoad
	demand  throttler.Demand
	lease   throttler.Lease  // the last one
	holds   bool             // it has not been given back
	place   *throttler.Place // in the queue for one
	busy    bool             // the pod did not process the request: it had no slot for it
	down    bool             // the same: its app can't be reached, or is another revision's
	expect  bool             // the Expect field is ours
	held    bool             // its body, until its pod answers
	traced  bool             // the client wants to be told the parts of a cold start
	cold    ColdStart        // Queued is zero unless the request waited for the first pod
	short   bool             // it waits, and there was no pod to use when it began to
	counted bool             // among those that got no pod, or waited long for one
}

// find makes the request one of its revision, if that is known.
func (x *exchange) find(req *proxy.Request, namespace, name string) bool {
	t := x.a.revisions.get(namespace, name)
	var s *spec
	if t != nil {
		s = t.spec.Load()
	}
	if s == nil {
		return false
	}
	x.t, x.spec = t, s
	x.held = req.BodyHeld
	x.stats = x.a.stats.Start(metrics.RevisionKey(t.id), req.Arrived)
	x.demand = throttler.Demand{Revision: t.id, Enqueued: req.Arrived}
	return true
}

// Next takes a slot of a pod, waiting for one if need be.
func (x *exchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	switch {
	case x.local != nil:
		return proxy.Answer(x.local), nil
	case x.err != nil:
		return proxy.Decision{}, x.err
	}
	if x.early != nil {
		if err := x.awaitSource(req); err != nil {
			return proxy.Decision{}, err
		}
	}
	if waits, err := x.acquire(req, a); err != nil || waits {
		return proxy.Decision{Wait: waits}, err
	}
	x.holds = true
	if m := x.spec.collectors; m != nil {
		m.AddActive(1)
	}
	x.mark(req)
	return proxy.Forward(x.upstream(req)), nil
}

// earlyTimeout is Kubernetes' word for a revision that says nothing else (timeoutSeconds), and so for one that isn't
// known yet.
const earlyTimeout = 300 * time.Second

// awaitSource waits until the source has told everything, and then finds the revision. The kubelet's probes keep requests
// away until then, but not from an activator that was restarted where it was, nor in a program without a kubelet.
func (x *exchange) awaitSource(req *proxy.Request) error {
	id := x.early
	x.early = nil
	client := x.client(req)
	if !x.a.early.TakeOne(client) {
		err := throttler.ErrQueueFull
		x.err = &proxy.Error{Reason: proxy.QueueFull, Text: err.Error() + "\n", Err: err}
		return x.err
	}
	defer x.a.early.GiveOne(client)
	switch err := x.a.gate.Acquire(req.Park(proxy.Timeouts{Total: earlyTimeout})); {
	case err != nil:
		x.err = err
	default:
		x.a.gate.Release()
		if x.find(req, id.Namespace, id.Name) {
			return nil
		}
		x.err = unknown(id.Namespace, id.Name)
		if !x.a.hasSynced() { // Run has ended
			err := errors.New(notSynced)
			x.err = &proxy.Error{Reason: proxy.NotReady, Text: lookup + err.Error() + "\n", Err: err}
		}
	}
	return x.err
}

// acquire takes a slot, or a place in the queue for one, in which it waits, and the slot when that wait is over. A remote pod
// may decline the request, so that the last attempt is never a spillover.
func (x *exchange) acquire(req *proxy.Request, a proxy.Attempt) (waits bool, err error) {
	if x.place != nil {
		x.lease, err = x.seat(a.Ended)
	} else {
		x.busy, x.down = false, false
		x.demand.NoSpillover = a.Last
		var ok bool
		if x.lease, ok, err = x.a.throttler.TryAcquire(x.demand); err == nil && !ok {
			if x.lease, x.place, err = x.queue(req); x.place != nil {
				return true, nil
			}
		}
	}
	if err != nil {
		return false, x.unserved(x.refusal(err))
	}
	return false, nil
}

// queue stands in line. Time spent in it is seen in the gauges, and in the story of a cold start when there was no pod.
func (x *exchange) queue(req *proxy.Request) (throttler.Lease, *throttler.Place, error) {
	x.demand.Bytes, x.demand.Client = req.HeadBytes(), x.client(req)
	if x.t.usable.Load() == 0 {
		if x.cold.Queued.IsZero() {
			x.cold.Queued = req.Arrived
		}
		if tell := x.a.config.OnHold; tell != nil {
			tell(x.t.id)
		}
		x.short = true
		x.t.shortage.begin()
	}
	if m := x.spec.collectors; m != nil {
		m.AddQueued(1)
	}
	x.t.demand.begin()
	lease, place, err := x.a.throttler.Queue(x.demand, req.Suspend(x.spec.Timeouts))
	if place == nil {
		x.queued(lease, err)
	}
	return lease, place, err
}

// seat is the end of standing in line.
func (x *exchange) seat(ended error) (throttler.Lease, error) {
	lease, err := x.place.Leave(ended)
	x.place = nil
	x.queued(lease, err)
	return lease, err
}

func (x *exchange) queued(lease throttler.Lease, err error) {
	x.t.demand.end()
	if x.short {
		x.short, x.counted = false, x.t.shortage.end() || x.counted
	}
	if m := x.spec.collectors; m != nil {
		m.AddQueued(-1)
	}
	if err == nil && !x.cold.Queued.IsZero() {
		x.cold.Granted, x.cold.Pod = time.Now(), lease.ID()
	}
}

// client is for whom a request waits; the zero one: for any of many.
func (x *exchange) client(req *proxy.Request) netip.Addr {
	from, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return quota.Client(from.Addr(), x.a.config.Proxies)
}

// refusal is the answer to a request that got no slot.
func (x *exchange) refusal(err error) error {
	switch {
	case errors.Is(err, throttler.ErrUnknownRevision), errors.Is(err, throttler.ErrRevisionGone):
		return notFound(fmt.Errorf("revision %q: %w", x.t.id, err))
	case errors.Is(err, throttler.ErrQueueFull):
		return &proxy.Error{
			Reason: proxy.QueueFull, Text: "pending request queue full\n", Err: err,
			RetryAfter: x.a.throttler.RetryAfter(x.t.id),
		}
	}
	return err // the cause that Park gave its context
}

// unserved counts and logs that the request got no pod, and has the answer say why. What is no fault of the revision's
// stays as it is.
func (x *exchange) unserved(err error) error {
	var e *proxy.Error
	if !errors.As(err, &e) || e.Reason == proxy.ClientGone || e.Reason == proxy.UnknownRevision {
		return err
	}
	tr := x.t.trouble()
	if e.Reason == proxy.NotReady { // a source says why
		tr = trouble{cause: unavailable, sentence: strings.TrimSpace(e.Error())}
	}
	x.blame(tr)
	if tr.cause == unavailable {
		return err
	}
	told := *e
	told.Details = tr.sentence
	return &told
}

// mark removes what only proxies of the data path may say, and says it itself.
func (x *exchange) mark(req *proxy.Request) {
	h := req.Header
	original := cmp.Or(h.Get(knative.HeaderOriginalHost), req.Host)
	x.traced = x.traced || h.Get(knative.HeaderTrace) == "1"
	for _, name := range x.a.private {
		h.Del(name)
	}
	// By these a queue-proxy knows that it isn't meant, where its pod has got the address of one that has gone.
	h.Set(knative.HeaderNamespace, x.t.id.Namespace)
	h.Set(knative.HeaderRevision, x.t.id.Name)
	h.Del(knative.HeaderPassthroughLB)
	h.Set(knative.HeaderProxyRequest, knative.ProxyActivator)
	h.Set(knative.HeaderOriginalHost, original)
	x.spill(req, x.lease.Spillover())
}

// spill says that a pod is another activator's, which may decline the request, so that it has to go elsewhere. Of a body that
// is not held for that nothing is sent before the pod has let the request in: its queue-proxy asks for it then, at once,
// whatever its app thinks of Expect.
func (x *exchange) spill(req *proxy.Request, spilled bool) {
	h := req.Header
	if x.expect {
		h.Del("Expect")
		x.expect = false
	}
	if !spilled {
		return
	}
	h.Set(knative.HeaderNoQueue, "1")
	if !req.BodyHeld && req.Upgrade == "" && !h.Has("Expect") {
		h.Set("Expect", "100-continue")
		x.expect = true
	}
}

func (x *exchange) upstream(req *proxy.Request) proxy.Upstream {
	h := proxy.Upstream{
		Addr:     x.lease.Addr(),
		TLS:      x.podTLS(),
		Host:     x.lease.Addr(),
		Proto:    x.spec.Proto,
		Timeouts: x.spec.Timeouts,
		Replay:   true,
	}
	if x.lease.Declines() {
		h.NotProcessed = knative.HeaderNotProcessed
	}
	if req.Upgrade != "" { // HTTP/2 knows none
		h.Proto = proxy.HTTP1
	}
	if host := x.t.host.Load(); host != nil {
		h.Host = *host
		req.Header.Set(knative.HeaderPassthroughLB, "true")
	}
	return h
}

// podTLS is how to speak to the pods of the revision; nil: in the clear.
func (x *exchange) podTLS() *tls.Config {
	if x.a.config.PodTLS == nil {
		return nil
	}
	if c := x.a.config.PodTLS(x.t.id.Namespace); c != nil {
		return c
	}
	return x.a.noTLS
}

// Response sends a request on that its pod did not process: it goes elsewhere, or waits in its old place. The app's own
// 503 is an answer like any other.
func (x *exchange) Response(_ *proxy.Request, resp *proxy.Response) bool {
	if x.lease.Declines() && declined(resp) {
		x.down = saysDown(resp)
		x.busy = !x.down
	}
	if x.busy || x.down {
		x.avoid()
		return false
	}
	if !x.cold.Granted.IsZero() {
		x.warm(resp)
	}
	return true
}

// declined says whether a queue-proxy says that it has not processed the request: by the field, with a status that goes
// with it there.
func declined(resp *proxy.Response) bool {
	if resp.Header.Get(knative.HeaderNotProcessed) != "1" {
		return false
	}
	switch resp.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusMisdirectedRequest:
		return true
	case http.StatusOK: // to gRPC every answer is
		switch resp.Header.Get("Grpc-Status") {
		case "5", "8", "14": // NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE
			return true
		}
	}
	return false
}

// saysDown tells an app that can't be reached, or isn't there any more, from one that is busy. The status does not: to gRPC it
// is always 200.
func saysDown(resp *proxy.Response) bool {
	status := resp.Header.Get("Proxy-Status")
	return resp.Status == http.StatusBadGateway || resp.Status == http.StatusMisdirectedRequest ||
		slices.ContainsFunc([]proxy.Reason{proxy.ConnectRefused, proxy.ConnectTimeout, proxy.UnknownRevision}, func(r proxy.Reason) bool {
			return strings.Contains(status, `details="`+r.String())
		})
}

// warm ends a cold start. A client that asks for it is told the parts (https://www.w3.org/TR/server-timing/).
func (x *exchange) warm(resp *proxy.Response) {
	c := x.cold
	x.cold = ColdStart{}
	c.Revision, c.FirstByte = x.t.id, time.Now()
	x.a.collectors.coldStart(c)
	if x.traced {
		resp.Header.Add("Server-Timing", fmt.Sprintf("sluice-wait;dur=%.1f, sluice-first-byte;dur=%.1f",
			milliseconds(c.Granted.Sub(c.Queued)), milliseconds(c.FirstByte.Sub(c.Granted))))
	}
	if tell := x.a.config.OnColdStart; tell != nil {
		tell(c)
	}
}

// Release gives the slot back, and says what is now known of the pod.
func (x *exchange) Release(_ proxy.Upstream, o proxy.AttemptResult) {
	outcome := x.judge(o)
	if outcome == throttler.DialFailed || outcome == throttler.Lost {
		x.avoid()
		x.t.suspect(x.lease.ID()) // before the slot is free for the next one
	}
	x.giveBack(outcome)
}

func (x *exchange) giveBack(outcome throttler.Outcome) {
	x.holds = false
	x.lease.Release(outcome)
	if m := x.spec.collectors; m != nil {
		m.AddActive(-1)
	}
}

func (x *exchange) judge(o proxy.AttemptResult) throttler.Outcome {
	switch {
	case x.busy && x.lease.ID() == clusterID: // other pods are behind it
		return throttler.OK
	case x.busy:
		return throttler.Busy
	case x.down, o.Reason == proxy.ConnectRefused, o.Reason == proxy.ConnectTimeout, o.Reason == proxy.TLSFailed:
		return throttler.DialFailed
	case o.Reason == proxy.UpstreamClosed && o.Status == 0 && x.lease.ID() != clusterID: // behind which are other pods
		return x.unanswered()
	case o.Reason != proxy.ReasonNone && o.Status == 0 && o.Connect == 0 && !o.Reused:
		return throttler.Unused
	}
	return throttler.OK
}

// unanswered is what the end of a connection before an answer says of the pod: it has died, as others will find out. A
// body that is still being sent may have been refused by an answer that got lost, so that such an end says nothing.
func (x *exchange) unanswered() throttler.Outcome {
	if !x.held {
		return throttler.Unused
	}
	return throttler.Lost
}

// avoid remembers the pod as one that the next attempts go to only when there is no other.
func (x *exchange) avoid() {
	id := x.lease.ID()
	for i, other := range x.demand.Not {
		if other == "" || other == id {
			x.demand.Not[i] = id
			return
		}
	}
}

// End counts the request and ends the exchange.
func (x *exchange) End(req *proxy.Request, r proxy.Result) {
	switch { // a policy around this one has answered in the middle
	case x.place != nil:
		if lease, err := x.seat(context.Canceled); err == nil {
			lease.Release(throttler.Unused)
		}
	case x.holds:
		x.giveBack(throttler.Unused)
	}
	if x.local == nil {
		x.a.collectors.count(r.Reason)
	}
	if x.t != nil {
		x.failed(r.Reason)
		x.stats.End(req.Arrived.Add(r.Total)) // the clock has just been read for it
		if m := x.spec.collectors; m != nil {
			m.Observe(r.Status, r.Total)
		}
	}
	a := x.a
	*x = exchange{a: a}
	a.exchanges.Put(x)
}

// failed counts and logs a request whose last attempt met a pod that can't be reached. Its answer says so.
func (x *exchange) failed(r proxy.Reason) {
	tr := trouble{pod: Endpoint{ID: x.lease.ID(), Addr: x.lease.Addr()}}
	switch r {
	case proxy.ConnectRefused:
		tr.cause = connectRefused
	case proxy.ConnectTimeout, proxy.TLSFailed:
		tr.cause = unreachable
	default:
		return
	}
	tr.sentence = "the pods that were tried can't be used; the last one " + causeTable[tr.cause].says
	x.blame(tr)
}

// blame counts the request, once, and logs why.
func (x *exchange) blame(tr trouble) {
	if !x.counted {
		x.counted = true
		x.t.shortage.count(tr, 1)
	}
	x.t.shortage.log(tr)
}
