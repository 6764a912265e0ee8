package tracing

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// minWait is the shortest wait that has a span: taking a free slot takes microseconds.
const minWait = time.Millisecond

// maxText bounds the bytes of a client in one attribute of a span: maxQueue spans are held while a collector is unreachable,
// and heads may have 64 KiB. W3C asks for at least 512 bytes of tracestate.
const maxText = 1 << 10

type policy struct {
	proxy.Policy
	tracer    *Tracer
	exchanges sync.Pool
}

// exchange is a sampled request. It is pooled: End returns it to the pool.
type exchange struct {
	proxy.Exchange
	policy *policy
	span   span
	asked  time.Time // of the first Next of an attempt
}

// Begin decides whether the request is recorded, and sets the fields for the upstream.
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

// kept copies a string of a request's head, which is valid only as long as the request, for a span.
func kept(s string) string { return strings.Clone(s[:min(len(s), maxText)]) }

// Next records the wait for an upstream, which may be within one call or last over several.
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

// End ends the span after the inner policy's End.
func (x *exchange) End(req *proxy.Request, r proxy.Result) {
	x.Exchange.End(req, r)
	x.span.result(r.Status, r.Attempts, r.Reason.String(), failed(r))
	p := x.policy
	*x = exchange{policy: p}
	p.exchanges.Put(x)
}

// failed reports whether a request failed by OpenTelemetry's HTTP conventions for servers: its status is 5xx, or the response
// broke after its head. A status of 4xx and a client that has gone are no failure of the server.
func failed(r proxy.Result) bool {
	return r.Status >= http.StatusInternalServerError ||
		r.Reason != proxy.ReasonNone && r.Reason != proxy.ClientGone && r.Status < http.StatusBadRequest
}
