package e2e

import (
	"net/http"
	"testing"
)

// TestF10KillOfAQueueProxyUnderLoad kills one of two queue-proxies under a load of GETs, again and again. The requests in
// flight go to the other one, so that none fails.
func TestF10KillOfAQueueProxyUnderLoad(t *testing.T) {
	for name, clientOf := range loadClients {
		t.Run(name, func(t *testing.T) { killQueueProxies(t, clientOf) })
	}
}

func killQueueProxies(t *testing.T, clientOf func(testing.TB, string) *http.Client) {
	c := newCluster(t, "")
	pods := []*pod{c.pod("first"), c.pod("second")}
	for _, p := range pods {
		p.startApp(c)
	}
	c.pods("", pods...)
	l := startLoad(clientOf(t, c.addr), c.url("/sleep?d=2ms"))
	serves := func(p *pod) {
		t.Helper()
		at := l.served(p.name)
		eventually(t, p.name+" serves", func() bool { return l.served(p.name) > at+50 })
	}
	const kills = 10
	for i := range kills {
		victim, other := pods[i%2], pods[(i+1)%2]
		serves(victim)
		serves(other)
		victim.qp.kill()
		serves(other)
		victim.startQueueProxy(c)
	}
	close(l.stop)
	l.wg.Wait()
	// An answer that has begun can only be cut off.
	t.Logf("%d requests, %d answers cut", l.requests, l.cut)
	if l.failed > l.cut || l.cut > kills*podLimit {
		t.Errorf("%d of %d requests failed in %d kills, %d of them cut, first %q", l.failed, l.requests, kills, l.cut, l.failures)
	}
}
