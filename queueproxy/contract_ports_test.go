package queueproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// speaks answers with the protocol in which it was asked, and the fields that ask for another.
func speaks(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "%s upgrade=%q settings=%q", r.Proto, r.Header.Get("Upgrade"), r.Header.Get("Http2-Settings"))
}

func TestContractPorts(t *testing.T) {
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "QUEUE_SERVING_PORT takes HTTP/1.1 and HTTP/2, and forwards each in its own protocol", Test: func(t *testing.T) {
			p := startPod(t, startApp(t, http.HandlerFunc(speaks)), nil)
			if got := p.do(p.client, p.request("/")); got.body != `HTTP/1.1 upgrade="" settings=""` {
				t.Errorf("HTTP/1.1 arrives as %s", got.body)
			}
			if got := p.do(p.h2c, p.request("/")); got.body != `HTTP/2.0 upgrade="" settings=""` {
				t.Errorf("h2c arrives as %s", got.body)
			}
		}},
		{Says: "HTTP/1.0 is forwarded as HTTP/1.1", Test: func(t *testing.T) {
			p := startPod(t, startApp(t, http.HandlerFunc(speaks)), nil)
			if got := raw(t, p, "GET / HTTP/1.0\r\nHost: x\r\n\r\n"); got.body != `HTTP/1.1 upgrade="" settings=""` {
				t.Errorf("arrives as %s", got.body)
			}
		}},
		{Says: "Upgrade: h2c is declined and never sent upstream", Test: func(t *testing.T) {
			p := startPod(t, startApp(t, http.HandlerFunc(speaks)), nil)
			got := raw(t, p, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
			if got.status != 200 || got.body != `HTTP/1.1 upgrade="" settings=""` {
				t.Errorf("%d, arrives as %s", got.status, got.body)
			}
		}},
		{Says: "8112 is the same over TLS, HTTP/2 without ALPN included, and plain HTTP stays on", Shown: contracttest.By(TestTLSAsTheActivatorSpeaksIt, TestPeers22RotationLosesNothing)},
		{Says: "8112 is open only with a certificate", Shown: contracttest.By(TestNoCertificateNoTLS)},
		{Says: "8022 has /wait-for-drain and nothing else", Test: func(t *testing.T) {
			p := startPod(t, deadAddr(t), nil)
			for _, path := range []string{"/", "/metrics", "/debug/pprof/", knative.AdminDrainPath + "/x"} {
				if got := p.at(p.Addrs().Admin, path); got.status != 404 {
					t.Errorf("%s: %d", path, got.status)
				}
			}
		}},
		{Says: "9090 has /metrics and nothing else", Test: func(t *testing.T) {
			p := startPod(t, deadAddr(t), nil)
			if got := p.at(p.Addrs().Stats, "/metrics"); got.status != 200 {
				t.Errorf("/metrics: %d", got.status)
			}
			if got := p.at(p.Addrs().Stats, "/"); got.status != 404 {
				t.Errorf("/: %d", got.status)
			}
		}},
		{Says: "9091 is open only when request metrics use prometheus", Test: func(t *testing.T) {
			for kind, open := range map[RequestMetrics]bool{
				MetricsOff: false, MetricsCollected: false, MetricsPrometheus: true, MetricsClassic: true,
			} {
				p := startPod(t, deadAddr(t), func(c *Config) { c.RequestMetrics = kind })
				if got := p.Addrs().Metrics != Off; got != open {
					t.Errorf("kind %d: open %v", kind, got)
				}
			}
		}},
		{Says: "8008 has profiles when they are on, and is closed when they are off", Shown: contracttest.By(TestProfiling, TestRequestMetrics)},
	})
}

// at gets a page of another of the pod's ports.
func (p *pod) at(addr, path string, fields ...string) answer {
	p.t.Helper()
	req := p.request(path, fields...)
	req.URL.Host = addr
	return p.do(p.client, req)
}

// raw sends bytes on a connection of their own and reads one answer.
func raw(t *testing.T, p *pod, head string) answer {
	t.Helper()
	c, err := net.Dial("tcp", p.Addrs().Serve)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, head)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{resp.StatusCode, string(body), resp.Header}
}
