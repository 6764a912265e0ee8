package queueproxy

import (
	"context"
	"net/http"
	"sync/atomic"
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

// The rows of the contract's table of probes that are the queue-proxy's.
func TestProbesOfTheContract(t *testing.T) {
	var reachedApp, appReady atomic.Bool
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("User-Agent") == userAgent {
			if !appReady.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return
		}
		reachedApp.Store(true)
	}))
	p := startPod(t, app, func(c *Config) {
		c.ContainerConcurrency = 1
		c.Probes = []Probe{{Kind: ProbeHTTP, Addr: app}}
		c.DrainQuiet = time.Minute
	})
	const (
		agent, probe, hash = "User-Agent", knative.HeaderProbe, knative.HeaderHash
		whole              = "unexpected probe header value: "
		noHash             = "a probe request must contain a non-empty \"K-Network-Hash\" header\n"
	)
	type row struct {
		name   string
		fields []string
		status int
		body   string
		app    bool // it is for the app
	}
	check := func(t *testing.T, rows []row) {
		for _, r := range rows {
			for _, path := range []string{"/", "//healthz", "/any?x"} {
				for version, client := range map[string]*http.Client{"HTTP/1.1": p.client, "h2c": p.h2c} {
					reachedApp.Store(false)
					got := p.do(client, p.request(path, r.fields...))
					if got.status != r.status || got.body != r.body || reachedApp.Load() != r.app {
						t.Errorf("%s, %s %s: %d %q, app %v; want %d %q, app %v", r.name, version, path,
							got.status, got.body, reachedApp.Load(), r.status, r.body, r.app)
					}
					if own := got.header.Get(knative.HeaderFeatures); r.status == 200 && !r.app && own != knative.FeatureNoQueue {
						t.Errorf("%s: features %q", r.name, own)
					}
					if r.status >= 400 && got.header.Get("Proxy-Status") == "" {
						t.Errorf("%s: no Proxy-Status", r.name)
					}
					if (r.status == 503) != (got.header.Get("Retry-After") != "") {
						t.Errorf("%s: Retry-After %q with a %d", r.name, got.header.Get("Retry-After"), r.status)
					}
				}
			}
		}
	}
	t.Run("not ready", func(t *testing.T) {
		check(t, []row{
			{"kubelet", []string{agent, kubelet, probe, "queue"}, 503, "", false},
			{"autoscaler", []string{agent, autoscaler, probe, "queue"}, 503, "", false},
			{"ingress", []string{probe, "probe", hash, "h"}, 200, "", false},
		})
	})
	appReady.Store(true)
	t.Run("ready", func(t *testing.T) {
		check(t, []row{
			{"kubelet", []string{agent, kubelet, probe, "queue"}, 200, "queue", false},
			{"activator", []string{agent, activator, probe, "queue"}, 200, "queue", false},
			{"autoscaler", []string{agent, autoscaler, probe, "queue"}, 200, "queue", false},
			{"kubelet without value", []string{agent, kubelet}, 400, whole + "\n", false},
			{"activator with another's value", []string{agent, activator, probe, "activator"}, 400, whole + "activator\n", false},
			{"autoscaler asks the activator", []string{agent, autoscaler, probe, "activator"}, 400, whole + "activator\n", false},
			{"the agent wins", []string{agent, kubelet, probe, "probe", hash, "h"}, 400, whole + "probe\n", false},
			{"ingress", []string{probe, "probe", hash, "h"}, 200, "", false},
			{"ingress without hash", []string{probe, "probe"}, 400, noHash, false},
			{"nobody's value", []string{probe, "x"}, 400, whole + "x\n", false},
			{"queue, but not from a prober", []string{probe, "queue"}, 400, whole + "queue\n", false},
			{"no probe at all", []string{agent, "curl"}, 200, "", true},
			{"the activator's mark", []string{"K-Kubelet-Probe", "1"}, 200, "", true},
		})
		if got := p.get("/", probe, "probe", hash, "abc").header.Get(hash); got != "abc" {
			t.Errorf("the hash comes back as %q", got)
		}
	})
	if r := p.policy.stats.Report(time.Now()); r.Requests != float64(2*2*3) {
		t.Errorf("%v requests counted, want only those for the app", r.Requests)
	}
	p.policy.drain.start()
	t.Run("draining", func(t *testing.T) {
		check(t, []row{
			{"kubelet", []string{agent, kubelet, probe, "queue"}, 503, "shutting down\n", false},
			{"activator", []string{agent, activator, probe, "queue"}, 503, "shutting down\n", false},
			{"ingress", []string{probe, "probe", hash, "h"}, 503, "shutting down\n", false},
			{"a request", []string{agent, "curl"}, 200, "", true},
		})
	})
	p.policy.drain.idle = 0 // so that the pod ends now
	p.policy.drain.tell()
}

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
		t.Errorf("the kubelet is told %d of an app that is down", got.status)
	}
	eventually(t, "all probes are held, by one watch", func() bool {
		r := &p.policy.readiness.ready
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.current != nil && r.current.waiters == probers
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

// A prober that goes takes the watch with it, and nothing polls any more.
func TestHeldProbeEndsWithItsProber(t *testing.T) {
	addr := freeAddr(t)
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
	addr := freeAddr(t)
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
		p := startPod(t, freeAddr(t), nil)
		begin := time.Now()
		got := p.get("/")
		if took := time.Since(begin); got.status != 502 || took < startPatience || took > startPatience+5*time.Second {
			t.Errorf("%d %q after %v", got.status, got.body, took)
		}
		contains(t, got.header.Get("Proxy-Status"), "error=connection_refused")
	})
	t.Run("it has gone", func(t *testing.T) {
		p := startPod(t, freeAddr(t), nil)
		p.policy.appIsUp()
		begin := time.Now()
		if got := p.get("/"); got.status != 502 || time.Since(begin) > startPatience {
			t.Errorf("%d %q after %v", got.status, got.body, time.Since(begin))
		}
	})
	t.Run("the timeout is shorter", func(t *testing.T) {
		p := startPod(t, freeAddr(t), func(c *Config) { c.Timeouts = proxy.Timeouts{Total: 50 * time.Millisecond} })
		if got := p.get("/"); got.status != 504 || got.body != "request timeout" {
			t.Errorf("%d %q", got.status, got.body)
		}
	})
}
