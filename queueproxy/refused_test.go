package queueproxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A client that sends something other than a request gets 400. The log has the reason, and nothing of what was sent.
func TestNoRequestIsRefused(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	const anyPort = "127.0.0.1:0"
	r := prometheus.NewRegistry()
	p, err := New(Config{
		UserAddr: deadAddr(t), RequestMetrics: MetricsPrometheus, Registry: r, Pages: pages(r), DrainQuiet: time.Millisecond,
		Addrs: Addrs{Serve: anyPort, Admin: Off, Stats: Off, Metrics: anyPort},
	}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	pod := runPod(t, p)
	c, err := net.Dial("tcp", p.Addrs().Serve)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /secret HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nCookie: secret\r\n\r\n")
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("%q, %v", answer, err)
	}
	const want = `sluice_refused_connections_total{reason="Content-Length and Transfer-Encoding"} 1`
	eventually(t, want, func() bool { return strings.Contains(pod.at(p.Addrs().Metrics, "/metrics").body, want) })
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
