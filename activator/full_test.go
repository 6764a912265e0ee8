package activator_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// crowded is a real queue-proxy, its queue full of other people's requests until they leave.
type crowded struct {
	proxy.Policy
	pod              *sidecar
	leave            func()
	waiting, refused atomic.Int64
}

func newCrowded(t *testing.T, id string) *crowded {
	c := new(crowded)
	release, leave := blocking()
	c.leave = leave
	c.pod = newSidecar(t, id, 1, 0, func(config *queueproxy.Config) {
		config.QueueDepth = 1
		config.WrapPolicy = func(p proxy.Policy) proxy.Policy { c.Policy = p; return c }
	})
	c.pod.block = release
	c.pod.listen()
	tr := new(http.Transport)
	direct := &front{url: "http://" + c.pod.addr, client: &http.Client{Transport: tr}}
	others := make(chan answer, 2)
	t.Cleanup(func() {
		leave()
		for range 2 {
			if a := <-others; !a.ok() {
				t.Error(a)
			}
		}
		tr.CloseIdleConnections()
	})
	for range 2 {
		c.waiting.Store(0) // the first may have waited for the app to start
		go func() { others <- direct.get("/") }()
		await(t, "its slot to be taken", func() bool { return c.pod.inFlight.Load() == 1 })
	}
	await(t, "the pod to be full", func() bool { return c.waiting.Load() == 1 })
	return c
}

func (c *crowded) Begin(req *proxy.Request) proxy.Exchange {
	return crowdedExchange{c.Policy.Begin(req), c}
}

type crowdedExchange struct {
	proxy.Exchange
	c *crowded
}

func (x crowdedExchange) Next(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	d, err := x.Exchange.Next(req, a)
	if d.Wait {
		x.c.waiting.Add(1)
	}
	return d, err
}

func (x crowdedExchange) End(req *proxy.Request, r proxy.Result) {
	x.Exchange.End(req, r)
	if r.Reason == proxy.QueueFull {
		x.c.refused.Add(1)
	}
}

// newFrontOf is an activator that uses these pods, in this order.
func newFrontOf(t *testing.T, pods ...*sidecar) *front {
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	var e activator.Endpoints
	for i, p := range pods {
		e.Ready = append(e.Ready, p.endpoint())
		f.UpdateEndpoints(hello, e)
		f.awaitUsable(t, i+1)
	}
	return f
}

// TestPeers33FullPodIsLeftAlone: the request that the only pod has no place for waits here, and is answered; it isn't sent
// again at once until no attempt is left.
func TestPeers33FullPodIsLeftAlone(t *testing.T) {
	c := newCrowded(t, "pod")
	f := newFrontOf(t, c.pod)
	got := make(chan answer, 1)
	go func() { got <- f.get("/") }()
	f.awaitWaiting(t, 1)
	c.leave()
	if a := <-got; !a.ok() {
		t.Error(a)
	}
	if n := c.refused.Load(); n < 1 || n > 2 {
		t.Errorf("refused %d times", n)
	}
}

// TestPeers33FullPodCostsNoDetour: while another pod has room, few requests are sent to the full one first.
func TestPeers33FullPodCostsNoDetour(t *testing.T) {
	c, free := newCrowded(t, "full"), newSidecar(t, "free", 1, 0)
	free.listen()
	f := newFrontOf(t, c.pod, free)
	const requests = 200
	for range requests {
		if a := f.get("/"); !a.ok() || !strings.HasPrefix(a.body, "free ") {
			t.Fatal(a)
		}
	}
	// It is left alone for 50 ms, then for twice as long each time, up to a second: so many would take nine seconds.
	if n := c.refused.Load(); n < 1 || n > 14 {
		t.Errorf("%d of %d requests were sent to the full pod", n, requests)
	}
}

// TestPeers33FullForGood: the last attempt gets the pod's own answer.
func TestPeers33FullForGood(t *testing.T) {
	c := newCrowded(t, "pod")
	a := newFrontOf(t, c.pod).get("/")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" ||
		!strings.Contains(a.header.Get("Proxy-Status"), "queue_full") || a.header.Get("Sluice-Not-Processed") != "" {
		t.Error(a, a.header)
	}
	await(t, "the pod to have refused it three times", func() bool { return c.refused.Load() == 3 }) // each, once it has answered
}
