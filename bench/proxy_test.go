package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
	"github.com/sluice-proxy/sluice/throttler"
)

const (
	small = "Hello World!\n"
	host  = "bench.default.svc.cluster.local"
	conns = 64
	limit = 100 // containerConcurrency
)

// chains are what stands between client and backend.
var chains = []struct {
	name string
	lay  func(b *testing.B, backend string) (addr string)
}{
	{"direct", func(_ *testing.B, backend string) string { return backend }},
	{"reverseproxy", reverseProxy},
	{"queue-proxy", queueProxy},
	{"reverseproxy-twice", func(b *testing.B, backend string) string { return reverseProxy(b, reverseProxy(b, backend)) }},
	{"activator-queue-proxy", func(b *testing.B, backend string) string { return activatorOf(b, queueProxy(b, backend)) }},
}

func BenchmarkProxyHTTP1(b *testing.B) {
	for _, chain := range chains {
		b.Run(chain.name, func(b *testing.B) {
			addr := chain.lay(b, backend(b))
			parallel(b, func() (do, end func() error) {
				c := newClient(b, addr)
				return c.do, c.conn.Close
			})
		})
	}
}

func BenchmarkProxyH2C(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, small) })
	for _, chain := range chains {
		b.Run(chain.name, func(b *testing.B) {
			addr := chain.lay(b, serve(b, answer))
			tr := transport(true)
			b.Cleanup(tr.CloseIdleConnections)
			parallel(b, func() (do, end func() error) {
				return func() error { return roundTrip(tr, addr) }, func() error { return nil }
			})
		})
	}
}

// parallel keeps conns clients busy, each in a goroutine of its own.
func parallel(b *testing.B, newClient func() (do, end func() error)) {
	b.ReportAllocs()
	b.SetParallelism((conns + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		do, end := newClient()
		for pb.Next() {
			if err := do(); err != nil {
				b.Error(err)
				return
			}
		}
		_ = end()
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func roundTrip(tr *http.Transport, addr string) error {
	r, err := http.NewRequest(http.MethodGet, "http://"+addr+"/some/path", nil)
	if err != nil {
		return err
	}
	r.Host = host
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != small) {
		return errStatus
	}
	return err
}

// transport speaks HTTP/1.1, or HTTP/2 with prior knowledge.
func transport(h2c bool) *http.Transport {
	tr := &http.Transport{MaxIdleConnsPerHost: 2 * conns, DisableCompression: true, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!h2c)
	tr.Protocols.SetUnencryptedHTTP2(h2c)
	return tr
}

// serve serves h by net/http on a port of loopback until the benchmark ends.
func serve(b *testing.B, h http.Handler) (addr string) {
	b.Helper()
	return run(b, proxy.NewServer(h, proxy.ServerConfig{}))
}

// run is serve for any server.
func run(b *testing.B, s interface {
	Serve(net.Listener) error
	Close() error
},
) (addr string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	}()
	b.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return l.Addr().String()
}

// reverseProxy is what the standard library offers, in the protocol of the client.
func reverseProxy(b *testing.B, backend string) (addr string) {
	target := &url.URL{Scheme: "http", Host: backend}
	of := map[bool]http.Handler{}
	for _, h2c := range []bool{false, true} {
		tr := transport(h2c)
		b.Cleanup(tr.CloseIdleConnections)
		of[h2c] = &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host; r.SetXForwarded() },
			Transport: tr,
		}
	}
	return serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { of[r.ProtoMajor == 2].ServeHTTP(w, r) }))
}

// queueProxy is ours, as the binary runs it, with its limit, accounting and metrics on.
func queueProxy(b *testing.B, backend string) (addr string) {
	b.Helper()
	p, err := queueproxy.New(queueproxy.Config{
		Identity: queueproxy.Identity{Namespace: "default", Configuration: "bench", Revision: "bench", Pod: "bench-pod"},
		UserAddr: backend, ContainerConcurrency: limit, Timeouts: proxy.Timeouts{Total: time.Minute},
		RequestMetrics: queueproxy.MetricsPrometheus, DrainQuiet: time.Millisecond,
		Addrs: queueproxy.Addrs{Serve: "127.0.0.1:0", Admin: queueproxy.Off, Stats: queueproxy.Off, Metrics: queueproxy.Off},
	}, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return p.Addrs().Serve
}

// static is a Source that never changes.
type static func(activator.Sink)

func (s static) Run(ctx context.Context, sink activator.Sink) error {
	s(sink)
	<-ctx.Done()
	return nil
}

// activatorOf is ours in front of one pod, which has passed its probe when it returns.
func activatorOf(b *testing.B, pod string) (addr string) {
	b.Helper()
	a, err := activator.New(activator.Config{}, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	id := throttler.RevisionID{Namespace: "default", Name: "bench"}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- a.Run(ctx, static(func(s activator.Sink) {
			s.UpdateRevision(activator.Revision{ID: id, Limit: limit, Timeouts: proxy.Timeouts{Total: time.Minute}})
			s.UpdateEndpoints(id, activator.Endpoints{Ready: []activator.Endpoint{{ID: "bench-pod", Addr: pod}}})
		}))
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		_ = a.Close()
	})
	addr = run(b, a.Engine(proxy.ServerConfig{}))
	tr := transport(false)
	defer tr.CloseIdleConnections()
	if err := roundTrip(tr, addr); err != nil { // waits for the probe
		b.Fatal(err)
	}
	return addr
}
