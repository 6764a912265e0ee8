package tracing

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/proxy"
)

const (
	aTrace = "0af7651916cd43dd8448eb211c80319c"
	aSpan  = "b7ad6b7169203331"
)

func TestTraceparent(t *testing.T) {
	for v, want := range map[string]string{
		"00-" + aTrace + "-" + aSpan + "-01":                   "sampled",
		"00-" + aTrace + "-" + aSpan + "-00":                   "not",
		"00-" + aTrace + "-" + aSpan + "-02":                   "not",
		"00-" + aTrace + "-" + aSpan + "-ff":                   "sampled",
		"01-" + aTrace + "-" + aSpan + "-01-more":              "sampled",
		"cc-" + aTrace + "-" + aSpan + "-01":                   "sampled",
		"":                                                     "",
		"00-" + aTrace + "-" + aSpan + "-0":                    "",
		"00-" + aTrace + "-" + aSpan + "-01-":                  "",
		"01-" + aTrace + "-" + aSpan + "-01x":                  "",
		"ff-" + aTrace + "-" + aSpan + "-01":                   "",
		"00-" + strings.Repeat("0", 32) + "-" + aSpan + "-01":  "",
		"00-" + aTrace + "-" + strings.Repeat("0", 16) + "-01": "",
		"00-" + strings.ToUpper(aTrace) + "-" + aSpan + "-01":  "",
		"00_" + aTrace + "-" + aSpan + "-01":                   "",
		"0x-" + aTrace + "-" + aSpan + "-01":                   "",
	} {
		p := parseTraceparent(v)
		got := ""
		if p.exists() {
			got = map[bool]string{true: "sampled", false: "not"}[p.sampled]
		}
		if got != want || p.w3c != (want != "") {
			t.Errorf("%s: %q, want %q", v, got, want)
		}
	}
}

// The fields that an upstream gets for those that a client sends, sampled and not.
func TestPropagation(t *testing.T) {
	short := aTrace[16:]
	w3c := "00-" + aTrace + "-" + aSpan + "-0"
	for name, c := range map[string]struct {
		in      http.Header
		rate    float64 // for requests without a decision
		sampled bool
		want    http.Header // "@": the new span, "#": a new trace, "%": any span
	}{
		"nothing, recorded":     {http.Header{}, 1, true, http.Header{"Traceparent": {"00-#-@-01"}}},
		"nothing, not recorded": {http.Header{}, 0, false, http.Header{"Traceparent": {"00-#-%-00"}}},
		"w3c":                   {http.Header{"Traceparent": {w3c + "1"}, "Tracestate": {"a=1", "b=2"}}, 0, true, http.Header{"Traceparent": {"00-" + aTrace + "-@-01"}, "Tracestate": {"a=1", "b=2"}}},
		"w3c with random":       {http.Header{"Traceparent": {w3c + "3"}}, 0, true, http.Header{"Traceparent": {"00-" + aTrace + "-@-03"}}},
		"w3c says no":           {http.Header{"Traceparent": {w3c + "0"}, "Tracestate": {"a=1"}}, 1, false, http.Header{"Traceparent": {w3c + "0"}, "Tracestate": {"a=1"}}},
		"w3c twice":             {http.Header{"Traceparent": {w3c + "1", w3c + "1"}, "Tracestate": {"a=1"}}, 1, true, http.Header{"Traceparent": {"00-#-@-01"}}},
		"w3c is rubbish":        {http.Header{"Traceparent": {"x"}, "Tracestate": {"a=1"}}, 0, false, http.Header{"Traceparent": {"00-#-%-00"}}},
		"b3": {
			http.Header{"X-B3-Traceid": {aTrace}, "X-B3-Spanid": {aSpan}, "X-B3-Sampled": {"1"}, "X-B3-Parentspanid": {"00000000000000aa"}},
			0, true,
			http.Header{"Traceparent": {"00-" + aTrace + "-@-01"}, "X-B3-Traceid": {aTrace}, "X-B3-Spanid": {"@"}, "X-B3-Parentspanid": {aSpan}, "X-B3-Sampled": {"1"}},
		},
		"b3 of 64 bits": {
			http.Header{"X-B3-Traceid": {short}, "X-B3-Spanid": {aSpan}, "X-B3-Sampled": {"true"}},
			0, true,
			http.Header{"Traceparent": {"00-0000000000000000" + short + "-@-01"}, "X-B3-Traceid": {short}, "X-B3-Spanid": {"@"}, "X-B3-Parentspanid": {aSpan}, "X-B3-Sampled": {"1"}},
		},
		"b3 for debugging": {
			http.Header{"X-B3-Traceid": {aTrace}, "X-B3-Spanid": {aSpan}, "X-B3-Flags": {"1"}},
			0, true,
			http.Header{"Traceparent": {"00-" + aTrace + "-@-01"}, "X-B3-Traceid": {aTrace}, "X-B3-Spanid": {"@"}, "X-B3-Parentspanid": {aSpan}, "X-B3-Flags": {"1"}},
		},
		"b3 says no": {
			http.Header{"X-B3-Traceid": {aTrace}, "X-B3-Spanid": {aSpan}, "X-B3-Sampled": {"0"}},
			1, false,
			http.Header{"Traceparent": {w3c + "0"}, "X-B3-Traceid": {aTrace}, "X-B3-Spanid": {aSpan}, "X-B3-Sampled": {"0"}},
		},
		"b3 leaves it open, recorded": {
			http.Header{"X-B3-Traceid": {aTrace}, "X-B3-Spanid": {aSpan}},
			1, true,
			http.Header{"Traceparent": {"00-" + aTrace + "-@-01"}, "X-B3-Traceid": {aTrace}, "X-B3-Spanid": {"@"}, "X-B3-Parentspanid": {aSpan}, "X-B3-Sampled": {"1"}},
		},
		"b3 leaves it open, not recorded": {
			http.Header{"X-B3-Traceid": {aTrace}, "X-B3-Spanid": {aSpan}},
			0, false,
			http.Header{"Traceparent": {w3c + "0"}, "X-B3-Traceid": {aTrace}, "X-B3-Spanid": {aSpan}, "X-B3-Sampled": {"0"}},
		},
		"b3 is rubbish":     {http.Header{"X-B3-Traceid": {"x"}}, 1, true, http.Header{"Traceparent": {"00-#-@-01"}, "X-B3-Traceid": {"x"}}},
		"one field":         {http.Header{"B3": {aTrace + "-" + aSpan + "-1-00000000000000aa"}}, 0, true, http.Header{"Traceparent": {"00-" + aTrace + "-@-01"}, "B3": {aTrace + "-@-1-" + aSpan}}},
		"one, debugging":    {http.Header{"B3": {short + "-" + aSpan + "-d"}}, 0, true, http.Header{"Traceparent": {"00-0000000000000000" + short + "-@-01"}, "B3": {short + "-@-d-" + aSpan}}},
		"one says no":       {http.Header{"B3": {"0"}}, 1, false, http.Header{"Traceparent": {"00-#-%-00"}, "B3": {"0"}}},
		"one leaves it":     {http.Header{"B3": {aTrace + "-" + aSpan}}, 0, false, http.Header{"Traceparent": {w3c + "0"}, "B3": {aTrace + "-" + aSpan + "-0"}}},
		"one says yes only": {http.Header{"X-B3-Sampled": {"1"}}, 0, true, http.Header{"Traceparent": {"00-#-@-01"}, "X-B3-Sampled": {"1"}, "X-B3-Traceid": {"#"}, "X-B3-Spanid": {"@"}}},
		"both": {
			http.Header{"Traceparent": {w3c + "1"}, "B3": {short + "-00000000000000bb-0"}},
			0, true,
			http.Header{"Traceparent": {"00-" + aTrace + "-@-01"}, "B3": {aTrace + "-@-1-" + aSpan}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr, err := New(Config{Span: "s"})
			if err != nil {
				t.Fatal(err)
			}
			e := observability.Exporter{Protocol: observability.Stdout, SamplingRate: c.rate, ParentBased: true}
			if err := tr.Set(e); err != nil {
				t.Fatal(err)
			}
			req := &proxy.Request{Method: "GET", Target: "/", Header: proxy.NewHeader(c.in.Clone())}
			x := tr.Wrap(fixed{}).Begin(req)
			recorded, sampled := x.(*exchange)
			if sampled != c.sampled {
				t.Errorf("recorded: %v, want %v", sampled, c.sampled)
			}
			got := http.Header{}
			for k, v := range req.Header.All() {
				got.Add(k, v)
			}
			if len(got) != len(c.want) {
				t.Errorf("the upstream gets %v, want %v", got, c.want)
			}
			for k, want := range c.want {
				for i, w := range want {
					v := got.Values(k)[i]
					if k == traceparent {
						p := parseTraceparent(v)
						w = strings.ReplaceAll(w, "#", hex.EncodeToString(p.trace[:]))
						w = strings.ReplaceAll(w, "%", hex.EncodeToString(p.span[:]))
					}
					if sampled {
						id, trace := recorded.span.id(), recorded.span.trace()
						w = strings.ReplaceAll(w, "@", hex.EncodeToString(id[:]))
						w = strings.ReplaceAll(w, "#", hex.EncodeToString(trace[:]))
					}
					if v != w {
						t.Errorf("%s: %s, want %s", k, v, w)
					}
				}
			}
		})
	}
}

// fixed is a policy that does nothing.
type fixed struct{ proxy.NopExchange }

func (p fixed) Begin(*proxy.Request) proxy.Exchange { return p }
func (fixed) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Decision{}, nil
}

func TestSampler(t *testing.T) {
	for _, rate := range []float64{0, 0.25, 1} {
		s := newSampler(observability.Exporter{SamplingRate: rate})
		n := 0
		const all = 20000
		for range all {
			if s.sample(&parent{decided: true, sampled: rate == 0}, newTraceID()) { // the parent's decision must not count
				n++
			}
		}
		if got := float64(n) / all; got < rate-0.02 || got > rate+0.02 || rate == 0 && n > 0 || rate == 1 && n < all {
			t.Errorf("%v of the requests are sampled, want %v", got, rate)
		}
	}
}

func FuzzPropagation(f *testing.F) {
	f.Add("00-"+aTrace+"-"+aSpan+"-01", "", "", "", "", "")
	f.Add("", aTrace+"-"+aSpan+"-d", aTrace, aSpan, "1", "1")
	f.Add("", "", aTrace[16:], aSpan, "true", "")
	f.Fuzz(func(t *testing.T, w3c, single, trace, span, sampled, flags string) {
		fields := http.Header{}
		for k, v := range map[string]string{traceparent: w3c, b3Single: single, b3Trace: trace, b3Span: span, b3Sampled: sampled, b3Flags: flags} {
			if v != "" {
				fields.Set(k, v)
			}
		}
		h := proxy.NewHeader(fields)
		p := extract(h)
		if p.exists() == (p.span == spanID{}) {
			t.Fatalf("an incomplete parent: %+v", p)
		}
		id := p.trace
		if !p.exists() {
			id = newTraceID()
		}
		next := newSpanID()
		p.inject(h, id, next, true)
		again := extract(h)
		if again.trace != id || again.span != next || !again.sampled || !again.w3c {
			t.Fatalf("the upstream reads %+v of %v", again, fields)
		}
		if p.multi {
			if b := fromMulti(h); b.trace != id || b.span != next || !b.sampled {
				t.Fatalf("the upstream reads %+v of %v", b, fields)
			}
		}
		if p.single {
			if b := parseSingle(h.Get(b3Single)); b.trace != id || b.span != next || !b.sampled {
				t.Fatalf("the upstream reads %+v of %v", b, fields)
			}
		}
	})
}
