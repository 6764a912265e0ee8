package tracing

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/proxy"
)

// discard is an http.ResponseWriter that discards the response.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

type local struct{ fixed }

func (p local) Begin(*proxy.Request) proxy.Exchange { return p }
func (local) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Answer(&proxy.Local{Status: 200}), nil
}

// BenchmarkRequest measures a request that the policy answers, without a socket. The differences between its cases count.
func BenchmarkRequest(b *testing.B) {
	const came = "00-" + aTrace + "-" + aSpan + "-0"
	for name, c := range map[string]struct {
		e      observability.Exporter
		parent string
	}{
		"off":            {observability.Exporter{}, came + "1"},
		"unsampled root": {observability.Exporter{Protocol: observability.Stdout, SamplingRate: 1e-9, ParentBased: true}, ""},
		"unsampled":      {observability.Exporter{Protocol: observability.Stdout, SamplingRate: 1e-9, ParentBased: true}, came + "0"},
		"sampled":        {observability.Exporter{Protocol: observability.Stdout, SamplingRate: 1}, came + "1"},
	} {
		b.Run(name, func(b *testing.B) {
			tr := newTracer(b, Config{Span: "queue", Wait: "wait", Out: io.Discard})
			set(b, tr, c.e)
			defer run(b, tr)()
			h, err := proxy.New(proxy.Config{Policy: tr.Wrap(local{}), Name: "bench"})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			r := httptest.NewRequest(http.MethodGet, "/hello", http.NoBody)
			b.ReportAllocs()
			for b.Loop() {
				clear(r.Header)
				if c.parent != "" {
					r.Header["Traceparent"] = []string{c.parent}
				}
				h.ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}
