package queueproxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/metrics/statpb"
	"github.com/sluice-proxy/sluice/proxy"
)

// websocketApp echoes messages; path /slow answers when release is closed.
func websocketApp(release <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
			_, _ = io.WriteString(w, "late")
			return
		}
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "ok")
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, msg) != nil {
				return
			}
		}
	})
}

// A drain cuts neither a websocket nor a long request, sends other clients elsewhere, and ends when all is done.
func TestPeers8DrainCutsNothing(t *testing.T) {
	release := make(chan struct{})
	p := startPod(t, startApp(t, websocketApp(release)), func(c *Config) {
		c.DrainQuiet, c.DrainIdle = 300*time.Millisecond, 10*time.Millisecond
	})
	ws, _, err := websocket.Dial(t.Context(), p.url+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	ping := func() {
		t.Helper()
		if err := ws.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, msg, err := ws.Read(t.Context()); err != nil || string(msg) != "hello" {
			t.Fatal(string(msg), err)
		}
	}
	ping()
	slow := make(chan answer, 2)
	go func() { slow <- p.get("/slow") }()
	go func() { slow <- p.do(p.h2c, p.request("/slow")) }()
	eventually(t, "three are in flight", func() bool { return p.handler.InFlight() == 3 })

	p.stop()
	eventually(t, "it drains", p.policy.drain.active.Load)
	if got := p.get("/", "User-Agent", kubelet, knative.HeaderProbe, "queue"); got.status != 503 {
		t.Errorf("the kubelet gets %d", got.status)
	}
	resp, err := p.client.Do(p.request("/"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%d, Connection: close %v", resp.StatusCode, resp.Close)
	}
	eventually(t, "it accepts no more", func() bool {
		c, err := net.Dial("tcp", p.Addrs().Serve)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	ping()
	close(release)
	for range 2 {
		if got := <-slow; got.status != 200 || got.body != "late" {
			t.Errorf("%d %q", got.status, got.body)
		}
	}
	ping()
	select {
	case err := <-p.ended:
		t.Fatal("ended with a websocket open: ", err)
	default:
	}
	_ = ws.CloseNow()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

// An idle pod whose prober was answered is gone after DrainIdle, not after 30 s.
func TestPeers8IdlePodGoesEarly(t *testing.T) {
	p := startPod(t, startApp(t, http.HandlerFunc(ok)), func(c *Config) {
		c.DrainQuiet, c.DrainIdle = time.Minute, 50*time.Millisecond
	})
	p.get("/")
	p.stop()
	eventually(t, "it drains", p.policy.drain.active.Load)
	begin := time.Now()
	p.get("/", "User-Agent", activator, knative.HeaderProbe, "queue")
	if err := <-p.ended; err != nil || time.Since(begin) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

// When the grace period is over what is left is cut off, and Run says so.
func TestDrainPastTheGracePeriod(t *testing.T) {
	p := startPod(t, startApp(t, websocketApp(nil)), func(c *Config) { c.Timeouts.Total = 300 * time.Millisecond })
	p.policy.config.Timeouts.Total = 0 // the request itself may stay
	ws, _, err := websocket.Dial(t.Context(), p.url+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.stop()
	if err := <-p.ended; err == nil {
		t.Error("a clean end with a request cut off")
	} else {
		contains(t, err.Error(), "1 requests in flight")
	}
	_ = ws.CloseNow()
	if err := p.handler.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// The preStop hook blocks until the pod is quiet; without SIGTERM it returns after a second at most, and the drain is
// undone.
func TestWaitForDrain(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	p := startPod(t, startApp(t, websocketApp(release)), func(c *Config) {
		c.DrainQuiet, c.DrainIdle = time.Minute, time.Minute
	})
	slow := make(chan answer, 1)
	go func() { slow <- p.get("/slow") }()
	eventually(t, "one is in flight", func() bool { return p.handler.InFlight() == 1 })
	hook := p.hooked()
	eventually(t, "it drains", p.policy.drain.active.Load)
	if got := p.get("/", "User-Agent", activator, knative.HeaderProbe, "queue"); got.status != 503 {
		t.Errorf("a probe while it drains: %d", got.status)
	}
	if got := <-hook; got.status != 200 || got.body != "" { // with one in flight, and no SIGTERM
		t.Errorf("the hook gets %d %q", got.status, got.body)
	}
	eventually(t, "the drain is undone", func() bool { return !p.policy.drain.active.Load() })
	if got := p.get("/", "User-Agent", activator, knative.HeaderProbe, "queue"); got.status != 200 {
		t.Errorf("a probe after it was undone: %d", got.status)
	}
	resp, err := p.client.Do(p.request("/"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.Close {
		t.Error("answers still close their connections")
	}
	close(release)
	if got := <-slow; got.status != 200 {
		t.Error(got)
	}
	p.policy.drain.mu.Lock()
	p.policy.drain.quiet = time.Millisecond // so that the pod ends now
	p.policy.drain.mu.Unlock()
}

// hooked calls the preStop hook of the app's container.
func (p *pod) hooked() <-chan answer {
	hook := make(chan answer, 1)
	go func() {
		req := p.request("")
		req.URL.Host, req.URL.Path = p.Addrs().Admin, knative.AdminDrainPath
		hook <- p.do(p.client, req)
	}()
	return hook
}

// With SIGTERM the hook returns after the quiet period though a websocket is open, so that the app gets its own SIGTERM and
// can close it; the pod goes on until that has been done.
func TestC17AppClosesItsWebsockets(t *testing.T) {
	sigterm := make(chan struct{})
	p := startPod(t, startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		<-sigterm
		_ = c.Close(websocket.StatusNormalClosure, "bye")
	})), func(c *Config) { c.DrainQuiet, c.DrainIdle = 2*drainUndo, 2*drainUndo })
	ws, _, err := websocket.Dial(t.Context(), p.url+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	hook := p.hooked()
	p.stop()
	if got := <-hook; got.status != 200 || got.body != "" {
		t.Errorf("the hook gets %d %q", got.status, got.body)
	}
	select {
	case err := <-p.ended:
		t.Fatal("ended with a websocket open: ", err)
	default:
	}
	close(sigterm) // the kubelet's, now that the hook has returned
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the client gets %v, want 1000", err)
	}
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

// An embedder's Run that is cancelled while idle returns at once without probers. (It used to take 30.6 s.)
func TestC15IdleRunEndsAtOnce(t *testing.T) {
	p := startPod(t, deadAddr(t), func(c *Config) { c.DrainQuiet, c.DrainIdle = 0, 0 }) // as they are by default
	begin := time.Now()
	p.stop()
	if err := <-p.ended; err != nil || time.Since(begin) > DefaultDrainIdle-time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

// A drain may take as long as the grace period: no deadline of the server may end it, but each head must come in time.
// (The bounds of the engine that serves requests are its defaults, and finite.)
func TestDeadlinesOfTheServers(t *testing.T) {
	p, err := New(Config{UserAddr: "127.0.0.1:1", Profiling: true, RequestMetrics: MetricsPrometheus, Pages: pages(prometheus.NewRegistry())}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, s := range p.wanted() {
		server, ok := s.server.(*http.Server)
		if _, engine := s.server.(*proxy.Engine); engine != (s.name == "requests") || engine == ok {
			t.Errorf("%s is served by %T", s.name, s.server)
		}
		if !ok {
			continue
		}
		long := s.name == "admin" || s.name == "profiling"
		if quick := server.ReadTimeout > 0 && server.WriteTimeout > 0; quick == long {
			t.Errorf("%s: read %v, write %v", s.name, server.ReadTimeout, server.WriteTimeout)
		}
		if server.ReadHeaderTimeout == 0 || server.IdleTimeout == 0 || server.MaxHeaderBytes == 0 {
			t.Errorf("%s has no bounds", s.name)
		}
	}
}

// The autoscaler gets one Stat, of the last second, the wait included.
func TestStats(t *testing.T) {
	t.Parallel()
	p, letGo := full(t, 3, nil)
	var stat statpb.Stat
	scrape := func() {
		t.Helper()
		resp, err := p.client.Get("http://" + p.Addrs().Stats + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if ct := resp.Header.Get("Content-Type"); ct != "application/protobuf" || resp.StatusCode != 200 {
			t.Fatalf("%d %q", resp.StatusCode, ct)
		}
		if err := proto.Unmarshal(body, &stat); err != nil || stat.PodName != "hello-00001-abc" {
			t.Fatal(&stat, err)
		}
	}
	scrape()
	// One runs and three wait: the average gets there when a whole second has passed so.
	eventually(t, "a concurrency of 4", func() bool {
		scrape()
		return stat.AverageConcurrentRequests > 3.9 && stat.AverageConcurrentRequests < 4.1 && stat.RequestCount == 0
	})
	letGo()
	eventually(t, "none", func() bool { scrape(); return stat.AverageConcurrentRequests == 0 })
	p.get("/", knative.HeaderProxyRequest, knative.ProxyActivator)
	eventually(t, "one proxied request", func() bool { scrape(); return stat.ProxiedRequestCount > 0 })
	if stat.RequestCount < stat.ProxiedRequestCount || stat.ProcessUptime <= 0 {
		t.Error(&stat)
	}
}

func TestRequestMetrics(t *testing.T) {
	scrape := func(p *pod) string {
		resp, err := p.client.Get("http://" + p.Addrs().Metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	for _, test := range []struct {
		kind RequestMetrics
		want []string
	}{
		{MetricsPrometheus, []string{
			`http_server_request_duration_seconds_count{http_response_status_code="200",kn_route_tag="blue"} 1`,
			`http_server_request_duration_seconds_count{http_response_status_code="503",kn_route_tag="kn:disabled"} 1`,
			`kn_serving_invocation_duration_seconds_count{http_response_status_code="200"} 2`,
			`kn_serving_queue_depth 0`, `sluice_proxy_errors_total{reason="queue_full"} 1`,
		}},
		{MetricsClassic, []string{
			`revision_request_count{`, `route_tag="DISABLED"`, `revision_app_request_latencies_count{`, `revision_queue_depth{`,
		}},
	} {
		p, letGo := full(t, 0, func(c *Config) { c.QueueDepth, c.RequestMetrics = 1, test.kind })
		eventually(t, "the slot is taken", func() bool { return p.policy.breaker.InFlight() == 1 })
		waiting := make(chan answer, 1)
		go func() { waiting <- p.get("/", knative.HeaderTag, "blue") }()
		eventually(t, "one waits", func() bool { return p.policy.breaker.Waiting() == 1 })
		p.get("/")
		letGo()
		<-waiting
		for _, want := range test.want {
			eventually(t, want, func() bool { return strings.Contains(scrape(p), want) })
		}
	}
	p := startPod(t, deadAddr(t), nil)
	if a := p.Addrs(); a.Metrics != Off || a.Profiling != Off {
		t.Errorf("something listens by default: %+v", a)
	}
}

func TestProfiling(t *testing.T) {
	p := startPod(t, deadAddr(t), func(c *Config) { c.Profiling = true })
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1"} {
		resp, err := p.client.Get("http://" + p.Addrs().Profiling + path)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 200 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

// A port that is taken is an error that names it, and leaves no other open.
func TestListenFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	admin := freeAddr(t)
	p, err := New(Config{UserAddr: "127.0.0.1:1", Addrs: Addrs{Serve: taken.Addr().String(), Admin: admin, Stats: Off}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Error(err)
	}
	listenAgain(t, admin).Close()
}

// A listener that breaks ends Run with its error.
func TestRunEndsWithItsListener(t *testing.T) {
	p := startPod(t, deadAddr(t), nil)
	eventually(t, "it serves", func() bool { return p.get("/", knative.HeaderProbe, "x").status == 400 })
	p.services[len(p.services)-1].listener.Close()
	if err := <-p.ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// The sidecar as a library: behind a server of the embedder's own, it keeps the limit, answers probes and drains.
func TestPeers12Embedded(t *testing.T) {
	g := newGate()
	p, err := New(Config{UserAddr: startApp(t, g), ContainerConcurrency: 1, QueueDepth: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	own := pod{Proxy: p, t: t, url: "http://" + startApp(t, p.Handler()), client: &http.Client{Transport: &http.Transport{}}}
	defer own.client.CloseIdleConnections()
	answers := make(chan answer, 3)
	for range 3 {
		go func() { answers <- own.get("/") }()
	}
	if got := <-answers; got.status != 503 {
		t.Errorf("beyond the queue: %d", got.status)
	}
	if got := own.get("/", "User-Agent", kubelet, knative.HeaderProbe, "queue"); got.status != 200 || got.body != "queue" {
		t.Errorf("a probe: %d %q", got.status, got.body)
	}
	close(g.leave)
	for range 2 {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %q", got.status, got.body)
		}
	}
	if err := p.Drain(canceled(t)); err == nil {
		t.Error("a drain that was given up has no error")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// Under load, a drain loses no request of a client that follows Connection: close.
func TestPeers9NoRequestIsLostByADrain(t *testing.T) {
	p := startPod(t, startApp(t, http.HandlerFunc(ok)), func(c *Config) { c.DrainQuiet = time.Second })
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", p.Addrs().Serve)
				if err != nil {
					t.Error("refused while requests still come: ", err)
					return
				}
				r := bufio.NewReader(c)
				for range 20 {
					_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					resp, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Error(err)
						break
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					if resp.Body.Close(); resp.Close {
						break
					}
				}
				c.Close()
			}
		})
	}
	eventually(t, "there is load", func() bool { return p.policy.drain.ended.Load() > 0 })
	p.stop()
	eventually(t, "it drains", p.policy.drain.active.Load)
	time.Sleep(3 * p.config.DrainQuiet / 2) // requests go on past it, and so does the pod
	close(stop)
	clients.Wait()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

// An embedder who only wants the drain listens nowhere. (The end used to panic.)
func TestRunWithoutListeners(t *testing.T) {
	p, err := New(Config{
		UserAddr: deadAddr(t), Addrs: Addrs{Serve: Off, Admin: Off, Stats: Off, Metrics: Off, Profiling: Off, TLS: Off},
		DrainQuiet: time.Millisecond,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
}
