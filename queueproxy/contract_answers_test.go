package queueproxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// sleepy answers after its client has gone, or begins an answer at once and doesn't end it.
func sleepy(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/begin" {
		_, _ = io.WriteString(w, "a beginning")
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// TestContractAnswers has a row for each answer that is the queue-proxy's own: as text, and to a gRPC call.
func TestContractAnswers(t *testing.T) {
	t.Parallel()
	soon := 50 * time.Millisecond
	none := func() {}
	up := func(t *testing.T, edit func(*Config)) (*pod, func()) {
		return startPod(t, startApp(t, http.HandlerFunc(sleepy)), edit), none
	}
	for _, row := range []struct {
		says   string
		pod    func(t *testing.T) (p *pod, letGo func())
		send   []string
		status int
		body   string // ends with "…": its beginning
		reason string // what Proxy-Status says
		grpc   string // grpc-status; "": not asked
	}{
		{"queue full", func(t *testing.T) (*pod, func()) { return full(t, 1, nil) }, nil, 503, "pending request queue full\n", "queue_full", "8"},
		{"queue full, 429 wanted", func(t *testing.T) (*pod, func()) {
			return full(t, 1, func(c *Config) { c.FullStatus = 429 })
		}, nil, 429, "pending request queue full\n", "queue_full", "8"},
		{"revision timeout", func(t *testing.T) (*pod, func()) {
			return up(t, func(c *Config) { c.Timeouts.Total = soon })
		}, nil, 504, "request timeout", "timeout_total", "4"},
		{"response-start timeout", func(t *testing.T) (*pod, func()) {
			return up(t, func(c *Config) { c.Timeouts.ResponseStart = soon })
		}, nil, 504, "request timeout", "timeout_start", "4"},
		{"idle timeout", func(t *testing.T) (*pod, func()) {
			return up(t, func(c *Config) { c.Timeouts.Idle = soon })
		}, nil, 504, "request timeout", "timeout_idle", "4"},
		{"queue deadline", func(t *testing.T) (*pod, func()) {
			p, letGo := full(t, 0, func(c *Config) { c.QueueDepth, c.QueueDeadline = 5, soon })
			eventually(t, "the slot is taken", func() bool { return p.policy.breaker.InFlight() == 1 })
			return p, letGo
		}, nil, 503, "context deadline exceeded\n", "queue_timeout", "14"},
		{"app unreachable", func(t *testing.T) (*pod, func()) {
			p := startPod(t, deadAddr(t), nil)
			p.policy.appIsUp()
			return p, none
		}, nil, 502, "dial tcp 127.0.0.1:…", "connect_refused", "14"},
		{
			"a probe with an unknown value", func(t *testing.T) (*pod, func()) { return up(t, nil) },
			[]string{knative.HeaderProbe, "x"},
			400, "unexpected probe header value: x\n", "bad_request", "",
		},
	} {
		t.Run(row.says, func(t *testing.T) {
			p, letGo := row.pod(t)
			defer letGo()
			for _, client := range []*http.Client{p.client, p.h2c} {
				got := p.do(client, p.request("/", row.send...))
				begin, isBegin := strings.CutSuffix(row.body, "…")
				if got.status != row.status || !begins(got.body, row.body) && !(isBegin && strings.HasPrefix(got.body, begin) && strings.HasSuffix(got.body, "\n")) {
					t.Errorf("%d %q, want %d %q", got.status, got.body, row.status, row.body)
				}
				contains(t, got.header.Get("Proxy-Status"), row.reason)
				if retry := got.header.Get("Retry-After"); (retry != "") != (row.status == 503 || row.status == 429) {
					t.Errorf("Retry-After %q with a %d", retry, row.status)
				}
				if row.grpc == "" {
					continue
				}
				got = p.do(client, p.request("/", append(row.send, "Content-Type", "application/grpc+proto")...))
				if s := got.header.Get("Grpc-Status"); got.status != 200 || got.body != "" || s != row.grpc || got.header.Get("Grpc-Message") == "" {
					t.Errorf("gRPC: %d %q, grpc-status %q, grpc-message %q", got.status, got.body, s, got.header.Get("Grpc-Message"))
				}
			}
		})
	}
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "a refused port is dialled again for up to a second while the pod is starting, else not", Shown: contracttest.By(TestRequestWaitsForTheAppToStart)},
		{Says: "a timeout after the answer has started cuts it and adds nothing", Test: func(t *testing.T) {
			p, _ := up(t, func(c *Config) { c.Timeouts.Total = 100 * time.Millisecond })
			for _, client := range []*http.Client{p.client, p.h2c} {
				resp, err := client.Do(p.request("/begin"))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || err == nil || string(body) != "a beginning" {
					t.Errorf("%d %q, %v", resp.StatusCode, body, err)
				}
				if resp.ProtoMajor == 1 && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("the connection ends with %v", err)
				}
			}
		}},
		{Says: "a client that went is 499 in metrics", Test: func(t *testing.T) {
			p, _ := up(t, func(c *Config) { c.RequestMetrics = MetricsPrometheus })
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 50 * time.Millisecond}
			if _, err := client.Do(p.request("/")); err == nil {
				t.Fatal("there was an answer")
			}
			const want = `http_server_request_duration_seconds_count{http_response_status_code="499",kn_route_tag="kn:disabled"} 1`
			eventually(t, want, func() bool { return strings.Contains(p.at(p.Addrs().Metrics, "/metrics").body, want) })
		}},
		{Says: "a full queue sends an activator's request to another pod", Shown: contracttest.By(TestPeers33FullPodSendsElsewhere)},
		{Says: "Retry-After comes from the queue", Shown: contracttest.By(TestPeers15QueueFull)},
		{Says: "waiting counts against the revision timeout, unless there is a queue deadline", Shown: contracttest.By(TestWaitingCountsAgainstTheTimeout, TestPeers16QueueDeadline)},
		{Says: "the answer to a spillover request", Shown: contracttest.By(TestNoQueue)},
		{Says: "a request that a dead app has not received goes to another pod", Shown: contracttest.By(TestWhatADeadAppDidNotGetGoesElsewhere)},
	})
}

// A full pod marks its answer for an activator, which may send the request elsewhere, but not for other clients.
func TestPeers33FullPodSendsElsewhere(t *testing.T) {
	p, letGo := full(t, 1, nil)
	defer letGo()
	got := p.get("/", knative.HeaderProxyRequest, knative.ProxyActivator)
	if got.status != 503 || !begins(got.body, "pending request queue full\n") || got.header.Get(knative.HeaderNotProcessed) != "1" {
		t.Errorf("%d %q %v", got.status, got.body, got.header)
	}
	contains(t, got.header.Get("Proxy-Status"), "queue_full")
	if got := p.get("/"); got.header.Get(knative.HeaderNotProcessed) != "" {
		t.Error("the answer to a client has the mark, too")
	}
	got = p.get("/", knative.HeaderProxyRequest, knative.ProxyActivator, "Content-Type", "application/grpc")
	if got.header.Get("Grpc-Status") != "8" || got.header.Get(knative.HeaderNotProcessed) != "1" {
		t.Errorf("gRPC: %d %v", got.status, got.header)
	}
}
