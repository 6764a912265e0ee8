package proxy_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

func TestEngine(t *testing.T) {
	server, client := certified(t)
	proxytest.Run(t,
		proxytest.Path{Name: "Clear", Serve: serveEngine},
		proxytest.Path{Name: "TLS", TLS: client, Serve: func(t testing.TB, c proxy.Config) string {
			return serveEngineOn(t, c, server)
		}},
	)
}

// serveEngine runs an Engine, and holds it to have nothing left at the end.
func serveEngine(t testing.TB, c proxy.Config) string {
	t.Helper()
	return serveEngineOn(t, c, nil)
}

func serveEngineOn(t testing.TB, c proxy.Config, inside *tls.Config) string {
	t.Helper()
	h, err := proxy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return startEngineOn(t, h, proxy.ServerConfig{}, inside)
}

// startEngine runs an Engine for h on a port of its own until the test ends, and ends h with it.
func startEngine(t testing.TB, h *proxy.Handler, c proxy.ServerConfig) string {
	t.Helper()
	return startEngineOn(t, h, c, nil)
}

func startEngineOn(t testing.TB, h *proxy.Handler, c proxy.ServerConfig, inside *tls.Config) string {
	t.Helper()
	endWithTest(t, h)
	return serveInside(t, proxy.NewEngine(h, c), inside)
}

// endWithTest ends h when nothing serves it any more, which holds it to have nothing left by then.
func endWithTest(t testing.TB, h *proxy.Handler) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Drain(ctx); err != nil {
			t.Errorf("%d requests are still in progress: %v", h.InFlight(), err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// server is an Engine or an http.Server.
type server interface {
	Serve(net.Listener) error
	Close() error
}

// listenAndServe runs s on a port of its own until the test ends.
func listenAndServe(t testing.TB, s *http.Server) (addr string) {
	t.Helper()
	return serveInside(t, s, nil)
}

// serveInside is listenAndServe inside TLS, unless that is nil.
func serveInside(t testing.TB, s server, inside *tls.Config) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if inside != nil {
		l = proxy.NewTLSListener(l, inside)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return addr
}
