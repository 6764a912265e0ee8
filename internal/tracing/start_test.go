package tracing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/metrics/otlp"
)

// What is no request has spans by the same rules.
func TestStart(t *testing.T) {
	url, spans := collector(t)
	tr := newTracer(t, Config{Span: "s", Resource: map[string]string{"service.name": "svc"}})
	const parent = "00-" + aTrace + "-" + aSpan + "-0"
	if at, state, span := tr.Start("off", otlp.Client, parent+"1", "a=b"); at != parent+"1" || state != "a=b" || span != nil {
		t.Errorf("off: %s, %s, %v", at, state, span)
	}
	set(t, tr, observability.Exporter{Protocol: observability.HTTP, Endpoint: url, ParentBased: true})
	if at, state, span := tr.Start("unsampled", otlp.Client, parent+"0", "a=b"); at != parent+"0" || state != "a=b" || span != nil {
		t.Errorf("unsampled: %s, %s, %v", at, state, span)
	}
	for _, malformed := range []string{"", "00-x"} {
		if at, state, span := tr.Start("a root at rate 0", otlp.Client, malformed, "a=b"); !parseTraceparentOK(at, false) || state != "" || span != nil {
			t.Errorf("a root: %s, %s, %v", at, state, span)
		}
	}
	set(t, tr, observability.Exporter{Protocol: observability.HTTP, Endpoint: url, SamplingRate: 1, ParentBased: true})
	stop := run(t, tr)
	ready(t, tr)
	at, state, span := tr.Start("sampled", otlp.Client, parent+"1", "a=b")
	if state != "a=b" || span == nil || !parseTraceparentOK(at, true) {
		t.Fatalf("sampled: %s, %s, %v", at, state, span)
	}
	span.End("why", otlp.Attribute{Name: "text", Text: strings.Repeat("x", 2*maxText)}, otlp.Attribute{Name: "none"}, otlp.Attribute{Name: "number", Number: 7})
	root, _, span := tr.Start("root", otlp.Server, "", "")
	span.End("")
	stop()
	got := <-spans
	if want := "sampled kind=3 status=2 why number=7 text=" + strings.Repeat("x", maxText) + "0"; describe(got) != want {
		t.Errorf("%s, want %s", describe(got), want)
	}
	if fmt.Sprintf("00-%x-%x-01", got.GetTraceId(), got.GetSpanId()) != at || fmt.Sprintf("%x", got.GetParentSpanId()) != aSpan || got.GetTraceState() != "a=b" {
		t.Errorf("%v is not at %s", got, at)
	}
	if got := <-spans; describe(got) != "root kind=2 status=0 " || fmt.Sprintf("00-%x-%x-01", got.GetTraceId(), got.GetSpanId()) != root || len(got.GetParentSpanId()) != 0 {
		t.Errorf("%v is not the root %s", got, root)
	}
}

func parseTraceparentOK(v string, sampled bool) bool {
	p := parseTraceparent(v)
	return p.exists() && p.sampled == sampled
}
