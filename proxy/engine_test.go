package proxy_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

func TestEngine(t *testing.T) { proxytest.Run(t, serveEngine) }

// serveEngine runs an Engine, and holds it to have nothing left at the end.
func serveEngine(t testing.TB, c proxy.Config) string {
	t.Helper()
	h, err := proxy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return startEngine(t, h, proxy.ServerConfig{})
}

// startEngine runs an Engine for h on a port of its own until the test ends, and ends h with it.
func startEngine(t testing.TB, h *proxy.Handler, c proxy.ServerConfig) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.NewEngine(h, c)
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Serve(l) }()
	t.Cleanup(func() {
		e.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Drain(ctx); err != nil {
			t.Errorf("%d requests are still in progress: %v", h.InFlight(), err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}
