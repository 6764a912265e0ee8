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
	"strconv"
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
	early   *throttler.RevisionID   // its revision is unknown, and the source had not synced when it came
	gate    *throttler.BreakerPlace // in the queue for that
	spec    *spec
	stats   *metrics.RevisionLoad
	demand  throttler.Demand
	turn    throttler.Turn   // of the request's key, if they take turns
	cookie  string           // that the response sets
	lease   throttler.Lease  // the last one
	holds   bool             // it has not been given back
	place   *throttler.Place // in the queue for one
	busy    bool             // the pod did not process the request: it had no slot for it
	down    bool             // the same: its app can't be reached, or is another revision's
	expect  bool             // the Expect field is ours
	held    bool             // its body, until its pod answers
	traced  bool             // the client asks for the parts of a cold start
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
	x.keep(req)
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
		if waits, err := x.awaitSource(req, a.Ended); err != nil || waits {
			return proxy.Decision{Wait: waits}, err
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

// earlyTimeout is Knative's default for a revision without timeoutSeconds, and so holds for one that isn't known yet.
const earlyTimeout = 300 * time.Second

// awaitSource has the request wait until the source has synced, and then looks for the revision again. After the wait it is
// called once more: ended is what ended it early. The readiness probe keeps most requests away until then, but not from a
// container that was restarted in place, nor in a program without a kubelet.
func (x *exchange) awaitSource(req *proxy.Request, ended error) (waits bool, err error) {
	if x.gate == nil {
		if !x.a.early.TakeOne(x.client(req)) {
			err := throttler.ErrQueueFull
			x.early, x.err = nil, &proxy.Error{Reason: proxy.QueueFull, Text: err.Error() + "\n", Err: err}
			return false, x.err
		}
		x.gate, _ = x.a.gate.Queue(req.Suspend(proxy.Timeouts{Total: earlyTimeout})) // any number may wait
		if x.gate != nil {
			return true, nil
		}
	}
	x.err = x.leaveGate(req, ended)
	id := x.early
	x.early = nil
	switch {
	case x.err != nil, x.find(req, id.Namespace, id.Name):
	case x.a.hasSynced():
		x.err = unknown(id.Namespace, id.Name)
	default: // Run has ended
		err := errors.New(notSynced)
		x.err = &proxy.Error{Reason: proxy.NotReady, Text: lookup + err.Error() + "\n", Err: err}
	}
	return false, x.err
}

// leaveGate ends the wait for the source.
func (x *exchange) leaveGate(req *proxy.Request, ended error) (err error) {
	x.a.early.GiveOne(x.client(req))
	if x.gate != nil {
		err, x.gate = x.gate.Leave(ended), nil
	}
	if err == nil {
		x.a.gate.Release()
	}
	return err
}

// acquire takes a slot of a pod. When none is free it takes a place in the queue and reports that it waits; called again
// after the wait, it takes the slot that was granted. A remote pod may decline the request, so that the last attempt is
// never a spillover.
func (x *exchange) acquire(req *proxy.Request, a proxy.Attempt) (waits bool, err error) {
	if x.place != nil {
		x.lease, err = x.leaveQueue(a.Ended)
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

// queue takes a place in the queue, or a slot that has become free meanwhile. The gauges count the request as queued from
// then on, and a cold start begins when the revision has no pod to use.
func (x *exchange) queue(req *proxy.Request) (throttler.Lease, *throttler.Place, error) {
	x.demand.Bytes, x.demand.Client = req.HeadBytes(), x.client(req)
	if x.t.usable.Load() == 0 {
		if x.cold.Queued.IsZero() {
			x.cold.Queued = req.Arrived
		}
		if f := x.a.config.OnHold; f != nil {
			f(x.t.id)
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
		x.waited(lease, err)
	}
	return lease, place, err
}

// leaveQueue ends the wait, and returns the slot that was granted.
func (x *exchange) leaveQueue(ended error) (throttler.Lease, error) {
	lease, err := x.place.Leave(ended)
	x.place = nil
	x.waited(lease, err)
	return lease, err
}

// waited counts the end of a wait in the queue, which gave lease or err.
func (x *exchange) waited(lease throttler.Lease, err error) {
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

// client is the address whose share of the queue a request takes; the zero one when it came through a trusted proxy.
func (x *exchange) client(req *proxy.Request) netip.Addr {
	from, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return quota.Client(from.Addr(), x.a.config.Proxies)
}

// refusal is the error for a request that got no slot.
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
	return err // the cause of the context's end
}

// unserved counts and logs a request that got no pod, and returns err with the reason in its details. An error that is
// no fault of the revision's is returned as it is.
func (x *exchange) unserved(err error) error {
	var e *proxy.Error
	if !errors.As(err, &e) || e.Reason == proxy.ClientGone || e.Reason == proxy.UnknownRevision {
		return err
	}
	tr := x.t.trouble()
	if e.Reason == proxy.NotReady { // the source has given the reason, see UpdateUnavailable
		tr = trouble{cause: unavailable, sentence: strings.TrimSpace(e.Error())}
	}
	x.blame(tr)
	if tr.cause == unavailable {
		return err
	}
	detailed := *e
	detailed.Details = tr.sentence
	return &detailed
}

// mark sets the fields by which proxies of the data path speak to each other, in the place of any that the client sent.
func (x *exchange) mark(req *proxy.Request) {
	h := req.Header
	original := cmp.Or(h.Get(knative.HeaderOriginalHost), req.Host)
	x.traced = x.traced || h.Get(knative.HeaderTrace) == "1"
	for _, name := range x.a.private {
		h.Del(name)
	}
	// A queue-proxy whose pod has taken over the address of another revision's pod rejects the request by these.
	h.Set(knative.HeaderNamespace, x.t.id.Namespace)
	h.Set(knative.HeaderRevision, x.t.id.Name)
	h.Del(knative.HeaderPassthroughLB)
	h.Del(knative.HeaderKeyEpoch)
	if epoch := x.lease.KeyEpoch(); epoch != 0 {
		h.Set(knative.HeaderKeyEpoch, strconv.FormatInt(epoch, 10))
	}
	h.Set(knative.HeaderProxyRequest, knative.ProxyActivator)
	h.Set(knative.HeaderOriginalHost, original)
	x.spill(req, x.lease.Spillover())
}

// spill marks a request to a remote pod, which declines it when it has no free slot; then the request is sent elsewhere. A
// body that isn't held for that is sent only when the pod has admitted the request: its queue-proxy answers
// Expect: 100-continue itself, whether or not its app would.
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
	to := proxy.Upstream{
		Addr:     x.lease.Addr(),
		TLS:      x.podTLS(),
		Host:     x.lease.Addr(),
		Proto:    x.spec.Proto,
		Timeouts: x.spec.Timeouts,
		Replay:   true,
	}
	if x.lease.Declines() {
		to.NotProcessed = knative.HeaderNotProcessed
	}
	if req.Upgrade != "" { // HTTP/2 knows none
		to.Proto = proxy.HTTP1
	}
	if host := x.t.host.Load(); host != nil {
		to.Host = *host
		req.Header.Set(knative.HeaderPassthroughLB, "true")
	}
	return to
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

// Response discards the answer of a queue-proxy that did not process the request, which then goes to another pod or back
// to its place in the queue. A 503 of the app is an answer like any other.
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
	if x.cookie != "" {
		resp.Header.Add("Set-Cookie", x.cookie)
	}
	return true
}

// declined reports whether a queue-proxy answered that it has not processed the request: by the field, together with a
// status that a queue-proxy sends it with.
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

// saysDown reports whether a request was declined because the app can't be reached or the pod belongs to another revision,
// rather than for want of a slot. It looks at Proxy-Status too, since a gRPC call is always answered with 200.
func saysDown(resp *proxy.Response) bool {
	status := resp.Header.Get("Proxy-Status")
	return resp.Status == http.StatusBadGateway || resp.Status == http.StatusMisdirectedRequest ||
		slices.ContainsFunc([]proxy.Reason{proxy.ConnectRefused, proxy.ConnectTimeout, proxy.UnknownRevision}, func(r proxy.Reason) bool {
			return strings.Contains(status, `details="`+r.String())
		})
}

// warm ends a cold start, and adds its parts to the answer of a client that asked for them
// (https://www.w3.org/TR/server-timing/).
func (x *exchange) warm(resp *proxy.Response) {
	c := x.cold
	x.cold = ColdStart{}
	c.Revision, c.FirstByte = x.t.id, time.Now()
	x.a.collectors.coldStart(c)
	if x.traced {
		resp.Header.Add("Server-Timing", fmt.Sprintf("sluice-wait;dur=%.1f, sluice-first-byte;dur=%.1f",
			milliseconds(c.Granted.Sub(c.Queued)), milliseconds(c.FirstByte.Sub(c.Granted))))
	}
	if f := x.a.config.OnColdStart; f != nil {
		f(c)
	}
}

// Release gives the slot back with the outcome of the attempt, by which the throttler judges the pod.
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

// unanswered is the outcome of a connection that ended before an answer: the pod has died. While a body is being sent it
// may also be that an early answer was lost, so that nothing is known about the pod.
func (x *exchange) unanswered() throttler.Outcome {
	if !x.held {
		return throttler.Unused
	}
	return throttler.Lost
}

// avoid remembers the pod as one that the next attempts go to only when there is no other.
func (x *exchange) avoid() {
	id := x.lease.ID()
	for i, other := range x.demand.Avoid {
		if other == "" || other == id {
			x.demand.Avoid[i] = id
			return
		}
	}
}

// End counts the request and ends the exchange.
func (x *exchange) End(req *proxy.Request, r proxy.Result) {
	switch { // a policy around this one has answered in the middle
	case x.place != nil:
		if lease, err := x.leaveQueue(context.Canceled); err == nil {
			lease.Release(throttler.Unused)
		}
	case x.holds:
		x.giveBack(throttler.Unused)
	case x.gate != nil:
		_ = x.leaveGate(req, context.Canceled)
	}
	x.turn.End()
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

// failed counts and logs a request whose last attempt could not reach its pod.
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
