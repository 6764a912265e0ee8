package proxy_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

func TestHandler(t *testing.T) { proxytest.Run(t, serve) }

// serve runs a Handler in a server of its own, and holds it to have nothing left at the end.
func serve(t testing.TB, c proxy.Config) string {
	t.Helper()
	h, err := proxy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	addr := listenAndServe(t, proxy.NewServer(h, proxy.ServerConfig{}))
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
	return addr
}

// listenAndServe runs s on a port of its own until the test ends.
func listenAndServe(t testing.TB, s *http.Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}
