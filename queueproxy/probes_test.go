package queueproxy

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

const (
	kubelet    = knative.UserAgentKubelet + "1.31"
	activator  = knative.UserAgentActivator
	autoscaler = knative.UserAgentAutoscaler
)

// Probes don't take a slot, and don't wait for one.
func TestProbesAreOutsideTheLimit(t *testing.T) {
	g := newGate()
	p := startPod(t, startApp(t, g), func(c *Config) { c.ContainerConcurrency, c.QueueDepth = 1, 1 })
	done := make(chan answer)
	go func() { done <- p.get("/") }()
	<-g.arrived
	if got := p.get("/", "User-Agent", kubelet, knative.HeaderProbe, "queue"); got.status != 200 {
		t.Errorf("the probe of a full pod: %d", got.status)
	}
	close(g.leave)
	if got := <-done; got.status != 200 {
		t.Error(got)
	}
}

// The activator's probe is held until the app is up; a kubelet's with a plain probe is answered at once.
func TestPeers30HeldProbe(t *testing.T) {
	addr := freeAddr(t)
	p := startPod(t, addr, func(c *Config) { c.Probes = []Probe{{Kind: ProbeHTTP, Addr: addr}} })
	const probers = 8
	answers := make(chan answer, probers)
	for range probers {
		go func() { answers <- p.get("/healthz", "User-Agent", activator, knative.HeaderProbe, "queue") }()
	}
	if got := p.get("/", "User-Agent", kubelet, knative.HeaderProbe, "queue"); got.status != 503 {
		t.Errorf("the kubelet gets %d of an app that is down", got.status)
	}
	eventually(t, "all probes are held, by one watch", func() bool {
		r := &p.policy.readiness.ready
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.current != nil && r.current.waiters.Len() == probers
	})
	select {
	case got := <-answers:
		t.Fatalf("%d %q before the app is up", got.status, got.body)
	default:
	}
	ln := listenAgain(t, addr)
	serveApp(t, ln, http.HandlerFunc(ok))
	for range probers {
		if got := <-answers; got.status != 200 || got.body != "queue" {
			t.Errorf("%d %q", got.status, got.body)
		}
	}
}

// The watch ends when its probers have gone, and nothing polls any more.
func TestHeldProbeEndsWithItsProber(t *testing.T) {
	addr := deadAddr(t)
	p := startPod(t, addr, func(c *Config) { c.Probes = []Probe{{Kind: ProbeTCP, Addr: addr, Aggressive: true}} })
	for _, client := range []*http.Client{p.client, p.h2c} {
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			resp, err := client.Do(p.request("/", "User-Agent", activator, knative.HeaderProbe, "queue").WithContext(ctx))
			if err == nil {
				resp.Body.Close()
			}
			gone <- err
		}()
		watched := func() bool {
			r := &p.policy.readiness.ready
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.current != nil
		}
		eventually(t, "the app is watched", watched)
		leave()
		if err := <-gone; err == nil {
			t.Error("there was an answer")
		}
		eventually(t, "the watch ends", func() bool { return !watched() })
	}
	p.policy.readiness.ready.close() // its goroutine as well, or this hangs
}

// A drain answers the probes that are held.
func TestDrainEndsHeldProbes(t *testing.T) {
	addr := deadAddr(t)
	p := startPod(t, addr, func(c *Config) { c.Probes = []Probe{{}} })
	done := make(chan answer)
	go func() { done <- p.get("/", "User-Agent", activator, knative.HeaderProbe, "queue") }()
	eventually(t, "the probe is held", func() bool { return p.handler.InFlight() == 1 })
	p.stop()
	if got := <-done; got.status != 503 || got.body != "shutting down\n" {
		t.Errorf("%d %q", got.status, got.body)
	}
}

// Requests to an app that has never been up wait for it, a second at most.
func TestRequestWaitsForTheAppToStart(t *testing.T) {
	t.Parallel()
	t.Run("it comes", func(t *testing.T) {
		const n = 150 // more than the proxy would retry
		addr := freeAddr(t)
		p := startPod(t, addr, func(c *Config) { c.ContainerConcurrency, c.QueueDepth = 2, n })
		answers := make(chan answer, n)
		for range n {
			go func() { answers <- p.get("/") }()
		}
		eventually(t, "all wait", func() bool { return p.handler.InFlight() == n })
		serveApp(t, listenAgain(t, addr), http.HandlerFunc(ok))
		for range n {
			if got := <-answers; got.status != 200 {
				t.Fatalf("%d %q", got.status, got.body)
			}
		}
	})
	t.Run("it does not", func(t *testing.T) {
		p := startPod(t, deadAddr(t), nil)
		begin := time.Now()
		got := p.get("/")
		if took := time.Since(begin); got.status != 502 || took < startPatience || took > startPatience+5*time.Second {
			t.Errorf("%d %q after %v", got.status, got.body, took)
		}
		contains(t, got.header.Get("Proxy-Status"), "error=connection_refused")
	})
	t.Run("it has gone", func(t *testing.T) {
		p := startPod(t, deadAddr(t), nil)
		p.policy.appIsUp()
		begin := time.Now()
		if got := p.get("/"); got.status != 502 || time.Since(begin) > startPatience {
			t.Errorf("%d %q after %v", got.status, got.body, time.Since(begin))
		}
	})
	t.Run("the timeout is shorter", func(t *testing.T) {
		p := startPod(t, deadAddr(t), func(c *Config) { c.Timeouts = proxy.Timeouts{Total: 50 * time.Millisecond} })
		if got := p.get("/"); got.status != 504 || !begins(got.body, "request timeout\nthe app doesn't listen on 127.0.0.1:") {
			t.Errorf("%d %q", got.status, got.body)
		}
	})
}

// A check that takes longer than its prober's timeout continues for the next prober, which comes soon after: an
// activator waits for 300 ms, and an app's check may ask a database. An app whose checks were given up each time would
// never be ready.
func TestProbeSlowerThanItsProber(t *testing.T) {
	t.Parallel()
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(700 * time.Millisecond):
		case <-r.Context().Done():
		}
	}))
	for _, c := range []struct {
		name       string
		agent      string
		aggressive bool
	}{
		{"the activator's", activator, false},
		{"the activator's, aggressive", activator, true},
		{"the kubelet's", kubelet, false},
		{"the kubelet's, aggressive", kubelet, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startPod(t, app, func(cfg *Config) {
				cfg.Probes = []Probe{{Kind: ProbeHTTP, Addr: app, Aggressive: c.aggressive, Timeout: 5 * time.Second}}
			})
			eventually(t, "the app is ready", func() bool {
				ctx, leave := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer leave()
				resp, err := p.client.Do(p.request("/", "User-Agent", c.agent, knative.HeaderProbe, "queue",
					knative.HeaderPatience, "300").WithContext(ctx))
				if err != nil {
					return false
				}
				resp.Body.Close()
				return resp.StatusCode == http.StatusOK
			})
		})
	}
}
