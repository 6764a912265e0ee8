package queueproxy

import (
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/internal/contracttest"
	"github.com/sluice-proxy/sluice/internal/knative"
)

func TestContractConcurrency(t *testing.T) {
	contracttest.Follow(t, []contracttest.Rule{
		{Says: "0: no limit and no queue", Shown: contracttest.By(TestNoLimitNoQueue)},
		{Says: "N: at most N in flight", Shown: contracttest.By(TestLimitIsExact, TestLimitIsNeverExceeded)},
		{Says: "N: at most 10 × N waiting", Test: func(t *testing.T) {
			const n = 2
			g := newGate()
			p := startPod(t, startApp(t, g), func(c *Config) { c.ContainerConcurrency = n })
			answers := make(chan answer, 11*n)
			for range 11 * n {
				go func() { answers <- p.do(p.h2c, p.request("/")) }()
			}
			eventually(t, "all slots and places are taken", func() bool {
				s := p.policy.breaker.Stats()
				return s.InFlight == n && s.Waiting == 10*n
			})
			for _, client := range []*http.Client{p.client, p.h2c} {
				if got := p.do(client, p.request("/")); got.status != 503 {
					t.Errorf("one more: %d", got.status)
				}
			}
			close(g.leave)
			for range 11 * n {
				if got := <-answers; got.status != 200 {
					t.Errorf("one that waited: %d %q", got.status, got.body)
				}
			}
		}},
		{Says: "the depth is configurable", Shown: contracttest.By(TestPeers15QueueFull)},
		{Says: "probes are outside the limit", Shown: contracttest.By(TestProbesAreOutsideTheLimit)},
		{Says: "Sluice-No-Queue: 1 is answered 503 busy with Sluice-Not-Processed: 1", Shown: contracttest.By(TestNoQueue)},
		{Says: "a probe's answer announces support for it", Test: func(t *testing.T) {
			p := startPod(t, startApp(t, http.HandlerFunc(ok)), nil)
			got := p.get("/", "User-Agent", activator, knative.HeaderProbe, "queue")
			if f := got.header.Get("Sluice-Features"); f != "no-queue" {
				t.Errorf("Sluice-Features: %q", f)
			}
		}},
		{Says: "a client that disconnects leaves the queue", Shown: contracttest.By(TestPeers1ClientLeavesTheQueue)},
	})
}
