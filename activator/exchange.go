package activator

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// policy is the activator's side of the seam to package proxy.
type policy struct{ a *Activator }

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

// Begin counts the request, as waiting from its arrival on: that is what scales a revision from zero.
func (p policy) Begin(req *proxy.Request) proxy.Exchange {
	local := p.a.probeAnswer(req)
	if local == toHear {
		return announcement{a: p.a}
	}
	x := p.a.exchanges.Get().(*exchange)
	if x.local = local; local != nil {
		return x
	}
	namespace, name, ok := resolve(req, p.a.config.ClusterDomain)
	if !ok {
		x.err = notFound(fmt.Errorf("neither headers nor host %q name a revision", req.Host))
		return x
	}
	if !x.find(req, namespace, name) {
		if !p.a.hasSynced() {
			x.early = &throttler.RevisionID{Namespace: strings.Clone(namespace), Name: strings.Clone(name)}
			return x
		}
		x.err = unknown(namespace, name)
	}
	return x
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
		TLS:      x.a.podTLS(x.t.id.Namespace),
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

// podTLS is how to speak to the pods of a namespace; nil: in the clear.
func (a *Activator) podTLS(namespace string) *tls.Config {
	if a.config.PodTLS == nil {
		return nil
	}
	if c := a.config.PodTLS(namespace); c != nil {
		return c
	}
	return a.noTLS
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
