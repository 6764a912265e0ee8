package proxy_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// The figures of these contain the client, the app and the kernel: what they are good for is comparison, with and
// without the proxy (BenchmarkDirect…), in one run.

func BenchmarkProxyHTTP1(b *testing.B)  { benchmark(b, proxy.HTTP1, true) }
func BenchmarkProxyH2C(b *testing.B)    { benchmark(b, proxy.HTTP2, true) }
func BenchmarkDirectHTTP1(b *testing.B) { benchmark(b, proxy.HTTP1, false) }
func BenchmarkDirectH2C(b *testing.B)   { benchmark(b, proxy.HTTP2, false) }

func benchmark(b *testing.B, proto proxy.Proto, through bool) {
	app := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Length"] = []string{"12"}
		_, _ = io.WriteString(w, "Hello World!")
	}), proxy.ServerConfig{})
	addr := listenAndServe(b, app)
	if through {
		addr = serve(b, proxy.Config{Policy: toApp{addr: addr}, Name: "bench"})
	}
	var p http.Protocols
	p.SetHTTP1(proto == proxy.HTTP1)
	p.SetUnencryptedHTTP2(proto == proxy.HTTP2)
	t := &http.Transport{Protocols: &p, DisableCompression: true, MaxIdleConnsPerHost: 1000}
	defer t.CloseIdleConnections()
	get := func() {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/hello", nil)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			b.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Error(resp.Status)
		}
	}
	get()
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			get()
		}
	})
	b.Run("parallel64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				get()
			}
		})
	})
}

func BenchmarkWriteError(b *testing.B) {
	err := &proxy.Error{Reason: proxy.QueueFull, Text: "pending request queue full\n"}
	for name, header := range map[string]http.Header{"text": {}, "grpc": {"Content-Type": {"application/grpc"}}} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header = header
			w := &discard{h: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				if proxy.WriteError(w, r, "bench", err) == 0 {
					b.Fatal(errors.New("no status"))
				}
			}
		})
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
