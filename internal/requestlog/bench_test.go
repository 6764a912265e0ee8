package requestlog

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// discard is an http.ResponseWriter that discards the response.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkRequest measures a request that the policy answers, without a socket. The differences between its cases count.
func BenchmarkRequest(b *testing.B) {
	for name, text := range map[string]string{"off": "", "builtin": DefaultTemplate, "builtin by template": DefaultTemplate + "{{/* as any */}}", "short": "{{.Request.Method}} {{.Request.RequestURI}} {{.Response.Code}}"} {
		b.Run(name, func(b *testing.B) {
			l, err := New(Config{Out: io.Discard})
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Set(text, text != "", false); err != nil {
				b.Fatal(err)
			}
			h, err := proxy.New(proxy.Config{Policy: l.Wrap(editor{local: &proxy.Local{Status: 200}}), Name: "bench"})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, "/hello", http.NoBody)
			b.ReportAllocs()
			for b.Loop() {
				clear(r.Header)
				r.Header["User-Agent"] = []string{"bench"}
				h.ServeHTTP(discard{http.Header{}}, r)
			}
			b.StopTimer()
			if err := l.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			h.Close()
		})
	}
}
