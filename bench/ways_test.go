package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/activator/static"
	"github.com/sluice-proxy/sluice/internal/queueproxytest"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
	"github.com/sluice-proxy/sluice/throttler"
)

const host = "bench.default.svc.cluster.local"

// server is an Engine or an http.Server.
type server interface {
	Serve(net.Listener) error
	Close() error
}

// run runs s on a port of loopback until the benchmark ends.
func run(b *testing.B, s server) (addr string) {
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

// reverseProxy is the standard library's, with the protocol of the client.
var reverseProxy = way{"via=reverseproxy", func(b *testing.B, backend string) (addr string) {
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
	either := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { of[r.ProtoMajor == 2].ServeHTTP(w, r) })
	return run(b, proxy.NewServer(either, proxy.ServerConfig{}))
}}

// queueProxy is ours, on the engine as in the binary, or on net/http by its Handler. Accounting is always on.
func queueProxy(on string, limit int, metrics bool) way {
	c := queueproxy.Config{
		Identity:             queueproxy.Identity{Namespace: "default", Configuration: "bench", Revision: "bench", Pod: "bench-pod"},
		ContainerConcurrency: limit, Timeouts: proxy.Timeouts{Total: time.Minute},
		Addrs: queueproxy.Addrs{Admin: queueproxy.Off, Stats: queueproxy.Off, Metrics: queueproxy.Off},
	}
	counted := "off"
	if metrics {
		c.RequestMetrics, counted = queueproxy.MetricsPrometheus, "on"
	}
	return way{fmt.Sprintf("via=%s/limit=%d/metrics=%s", on, limit, counted), func(b *testing.B, backend string) string {
		c.UserAddr = backend
		if on != "handler" {
			return queueproxytest.Run(b, c).Serve
		}
		p, err := queueproxy.New(c, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = p.Close() })
		return run(b, proxy.NewServer(p.Handler(), proxy.ServerConfig{}))
	}}
}

// activator1 is ours in front of one pod, which has passed its probe before the benchmark starts.
func activator1(on string) way {
	return way{"via=" + on, func(b *testing.B, pod string) (addr string) {
		a, err := activator.New(activator.Config{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		id := throttler.RevisionID{Namespace: "default", Name: "bench"}
		src := static.New(static.Revision{
			Revision:  activator.Revision{ID: id, Limit: 100, Timeouts: proxy.Timeouts{Total: time.Minute}},
			Endpoints: activator.Endpoints{Ready: []activator.Endpoint{{ID: "bench-pod", Addr: pod}}},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx, src) }()
		b.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
			_ = a.Close()
		})
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if s, _ := a.Stats(id); s.Usable == 1 {
				break
			} else if time.Now().After(deadline) {
				b.Fatal("the pod has not passed its probe")
			}
		}
		if on == "handler" {
			return run(b, proxy.NewServer(a.Handler(), proxy.ServerConfig{}))
		}
		return run(b, a.Engine(proxy.ServerConfig{}))
	}}
}
