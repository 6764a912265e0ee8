package tracing

import (
	"net/http"
	"testing"

	ocb3 "go.opencensus.io/plugin/ochttp/propagation/b3"
	"go.opencensus.io/plugin/ochttp/propagation/tracecontext"
	"go.opencensus.io/trace"
	"go.opencensus.io/trace/propagation"
	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/proxy"
)

// Knative's components and users' apps have long used OpenCensus: it parses the fields that we write, and we those that it
// writes.
func TestOpenCensusIsUnderstood(t *testing.T) {
	for name, format := range map[string]propagation.HTTPFormat{"W3C": &tracecontext.HTTPFormat{}, "B3": &ocb3.HTTPFormat{}} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				draw := func(name string, id []byte) {
					copy(id, rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(t, name))
					id[0] |= 1 // not zero
				}
				var theirs trace.SpanContext
				draw("trace", theirs.TraceID[:])
				draw("span", theirs.SpanID[:])
				sampled := rapid.Bool().Draw(t, "sampled")
				if sampled {
					theirs.TraceOptions = 1
				}
				r := &http.Request{Header: http.Header{}}
				format.SpanContextToRequest(theirs, r)
				h := proxy.NewHeader(r.Header)
				p := extract(h)
				if p.trace != traceID(theirs.TraceID) || p.span != spanID(theirs.SpanID) || p.sampled != sampled || !p.decided {
					t.Fatalf("of %v: %+v", r.Header, p)
				}
				var upstream spanID
				draw("upstream", upstream[:])
				p.inject(h, p.trace, upstream, sampled)
				again, ok := format.SpanContextFromRequest(r)
				if !ok || again.TraceID != theirs.TraceID || again.SpanID != trace.SpanID(upstream) || again.IsSampled() != sampled {
					t.Fatalf("OpenCensus reads %+v, %v from %v", again, ok, r.Header)
				}
			})
		})
	}
}
