package tracing

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// minWait is the shortest wait that is worth a span: a slot that is free costs microseconds.
const minWait = time.Millisecond

// maxText bounds what a client can have a span hold in one attribute: maxQueue of them wait for a collector that is
// away, and heads may have 64 KiB. W3C asks for 512 bytes of tracestate at least.
const maxText = 1 << 10

// Wrap returns p with its requests traced, while tracing is on. A policy that is to see the fields of the trace, such as
// a request log, belongs within.
func (t *Tracer) Wrap(p proxy.Policy) proxy.Policy {
	w := &policy{tracer: t, Policy: p}
	w.exchanges.New = func() any { return &exchange{policy: w} }
	return w
}

type policy struct {
	proxy.Policy
	tracer    *Tracer
	exchanges sync.Pool
}

// exchange is a sampled request. It is pooled: End gives it back.
type exchange struct {
	proxy.Exchange
	policy *policy
	span   span
	asked  time.Time // for an upstream, first
}

// Begin decides whether the request is recorded, and tells the upstream.
func (p *policy) Begin(req *proxy.Request) proxy.Exchange {
	t := p.tracer
	s := t.setting.Load()
	if s == nil || t.config.Skip(req) {
		return p.Policy.Begin(req)
	}
	from := extract(req.Header)
	trace := from.trace
	if !from.exists() {
		trace = newTraceID()
	}
	if !s.sampler.sample(&from, trace) {
		from.decline(req.Header, trace)
		return p.Policy.Begin(req)
	}
	x := p.exchanges.Get().(*exchange)
	x.span = t.spans.start(t.config.Span, trace, from.span, otlp.Server)
	var more []otlp.Attribute
	if t.config.Attributes != nil {
		more = t.config.Attributes(req)
	}
	state := ""
	if from.w3c {
		state = strings.Join(req.Header.Values(tracestate), ",")
		if len(state) > maxText {
			state = "" // cut off it would be malformed
		}
	}
	path, _, _ := strings.Cut(req.Target, "?")
	x.span.begin(kept(req.Method), kept(path), strings.Clone(state), more)
	from.inject(req.Header, trace, x.span.id(), true)
	x.Exchange = p.Policy.Begin(req)
	return x
}

// kept is a string of a request, which doesn't outlive its head, as a span holds it.
func kept(s string) string { return strings.Clone(s[:min(len(s), maxText)]) }

// decline tells the upstream that a request is not recorded, unless what it came with says so or was decided elsewhere.
func (p *parent) decline(h proxy.Header, trace traceID) {
	if p.w3c {
		return
	}
	if !p.exists() && !p.decided {
		h.Set(traceparent, formatTraceparent(trace, newSpanID(), false, false))
		h.Del(tracestate)
		return
	}
	span := p.span
	if !p.exists() {
		span = newSpanID()
	}
	if p.decided {
		p.multi, p.single = false, false // they say what they have to
	}
	p.inject(h, trace, span, false)
}

// Next measures the wait that it may contain, or begin.
func (x *exchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	if x.asked.IsZero() {
		x.asked = time.Now()
	}
	d, err := x.Exchange.Next(req, a)
	if d.Wait && err == nil {
		return d, nil
	}
	begin := x.asked
	x.asked = time.Time{}
	if t := x.policy.tracer; t.config.Wait != "" && time.Since(begin) >= minWait {
		wait := t.spans.start(t.config.Wait, x.span.trace(), x.span.id(), otlp.Internal)
		wait.since(begin)
	}
	return d, err
}

// End ends the span once the policy within has ended.
func (x *exchange) End(req *proxy.Request, r proxy.Result) {
	x.Exchange.End(req, r)
	x.span.result(r.Status, r.Attempts, r.Reason.String(), failed(r))
	p := x.policy
	*x = exchange{policy: p}
	p.exchanges.Put(x)
}

// failed is the rule of OpenTelemetry's HTTP conventions for servers: 5xx, and what broke after a head that promised more.
// A client that has gone or asked for what isn't there is no failure of ours.
func failed(r proxy.Result) bool {
	return r.Status >= http.StatusInternalServerError ||
		r.Reason != proxy.ReasonNone && r.Reason != proxy.ClientGone && r.Status < http.StatusBadRequest
}
