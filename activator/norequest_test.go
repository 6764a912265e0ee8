package activator_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
)

// What is no request is counted and logged, by its reason alone, before the embedder hears of it.
func TestNoRequestIsRefused(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	reg := prometheus.NewRegistry()
	a, err := activator.New(activator.Config{Registerer: reg}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	told, served := make(chan *proxy.Error, 1), make(chan error, 1)
	e := a.Engine(proxy.ServerConfig{OnRejected: func(_ string, err *proxy.Error) { told <- err }})
	go func() { served <- e.Serve(l) }()
	t.Cleanup(func() { e.Close(); <-served; a.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /secret HTTP/1.1\r\nCookie: secret\r\n\r\n")
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "\r\nProxy-Status: "+activator.Name+";") {
		t.Errorf("%q, %v", answer, err)
	}
	if err := <-told; err.Reason != proxy.BadRequest || err.Status != http.StatusBadRequest {
		t.Errorf("%v %d", err.Reason, err.Status)
	}
	if all := gather(t, reg); !strings.Contains(all, "sluice_refused_connections_total,reason=missing Host 1\n") {
		t.Error(all)
	}
	lines := logs.FilterMessageSnippet("connection rejected").All()
	if len(lines) != 1 || lines[0].ContextMap()["client"] != c.LocalAddr().String() {
		t.Fatalf("%v", lines)
	}
	for _, f := range lines[0].Context {
		if strings.Contains(f.String, "secret") {
			t.Errorf("%s=%s is logged", f.Key, f.String)
		}
	}
}
