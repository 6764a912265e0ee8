package tracing

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
	"github.com/sluice-proxy/sluice/proxy"
)

// A thousand spans may wait for a collector: the bytes of a client in each are bounded. (It was a whole head.)
func TestSpansHoldLittle(t *testing.T) {
	tr := newTracer(t, Config{Span: "s"})
	if err := tr.Set(observability.Exporter{Protocol: observability.Stdout, SamplingRate: 1}); err != nil {
		t.Fatal(err)
	}
	tr.spans.wanted.Store(true)
	long := strings.Repeat("x", 60<<10)
	req := &proxy.Request{Method: long, Target: "/" + long, Header: proxy.NewHeader(http.Header{
		traceparent: {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, tracestate: {"a=" + long},
	})}
	tr.Wrap(nothing{}).Begin(req).End(req, proxy.Result{Status: 200})
	held := 0
	spans := tr.queue.take()
	for _, s := range spans {
		held += len(s.State) + len(s.Name) + attributesLen(s.Attributes)
	}
	if len(spans) != 1 || held > 4<<10 {
		t.Errorf("%d spans hold %d bytes", len(spans), held)
	}
	if got := req.Header.Get(tracestate); got != "a="+long {
		t.Error("the upstream does not get the tracestate")
	}
}

func attributesLen(all []otlp.Attribute) (n int) {
	for _, a := range all {
		n += len(a.Name) + len(a.Text)
	}
	return n
}

// nothing is a policy whose exchanges do nothing.
type nothing struct{ proxy.NopExchange }

func (nothing) Begin(*proxy.Request) proxy.Exchange { return nothing{} }
func (nothing) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Decision{}, context.Canceled
}
