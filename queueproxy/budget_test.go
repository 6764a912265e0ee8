package queueproxy

import (
	"strings"
	"testing"
)

// A queue has a bound in bytes too, and what is held for clients is in the metrics.
func TestF5HeadsOfWaitingRequestsAreBounded(t *testing.T) {
	p, letGo := full(t, 1, func(c *Config) {
		c.RequestMetrics, c.QueueDepth, c.MaxWaitingBytes = MetricsPrometheus, 10, 1000
	})
	defer func() { letGo() }()
	if got := p.get("/", "X-Large", strings.Repeat("x", 1000)); got.status != 503 || !strings.HasPrefix(got.body, "pending request queue full\n") {
		t.Errorf("%d %q", got.status, got.body)
	}
	text := p.at(p.Addrs().Metrics, "/metrics").body
	for _, want := range []string{
		`sluice_budget_used{budget="waiting"} 1`, `sluice_budget_limit{budget="waiting"} 10`,
		`sluice_budget_limit{budget="waiting_bytes"} 1000`, `sluice_budget_refused_total{budget="waiting_bytes"} 1`,
		`sluice_budget_limit{budget="unfinished_heads"}`, `sluice_budget_used{budget="http2_connections"} 0`,
	} {
		contains(t, text, want)
	}
	letGo()
	letGo = func() {}
	eventually(t, "nothing waits", func() bool { return p.policy.heads.Used() == 0 })
}
