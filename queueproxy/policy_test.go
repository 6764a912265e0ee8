package queueproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

// The app never has more requests than the limit, whatever clients do: come in both protocols, send bodies, leave while
// they wait or while they are served. Those who leave are not counted by the app, which may notice late that they have.
func TestLimitIsNeverExceeded(t *testing.T) {
	for _, limit := range []int{1, 3} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			var now, most, served atomic.Int64
			app := startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.Header.Get("X-Leaves") != "" {
					return
				}
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(200 * time.Microsecond)
				served.Add(1)
				now.Add(-1)
			}))
			p := startPod(t, app, func(c *Config) {
				c.ContainerConcurrency, c.QueueDepth = limit, 10_000
				c.Timeouts = proxy.Timeouts{} // the app may still be at work on a request that has timed out
			})
			const clients, requests = 24, 40
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() {
					for n := range requests {
						p.post(i, n)
					}
				})
			}
			all.Wait()
			if m := most.Load(); m > int64(limit) {
				t.Errorf("%d at once in the app", m)
			}
			if n := served.Load(); n != clients*requests*3/4 {
				t.Errorf("%d served", n)
			}
			eventually(t, "all slots are free", func() bool {
				s := p.policy.breaker.Stats()
				return s.InFlight == 0 && s.Waiting == 0
			})
		})
	}
}

// post sends the nth request of client i; every fourth is given up after a while.
func (p *pod) post(i, n int) {
	stays, leaver := p.client, p.leaver
	if i%2 == 1 {
		stays, leaver = p.h2c, p.h2c // each stream of a connection ends alone
	}
	client := stays
	req := p.request("/")
	req.Method, req.Body = http.MethodPost, io.NopCloser(strings.NewReader(strings.Repeat("x", n*100)))
	leaves := (i+n)%4 == 0
	if leaves {
		ctx, cancel := context.WithTimeout(req.Context(), time.Duration(n)*100*time.Microsecond)
		defer cancel()
		req = req.WithContext(ctx)
		req.Header.Set("X-Leaves", "1")
		client = leaver
	}
	resp, err := client.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if !leaves && (err != nil || resp.StatusCode != http.StatusOK) {
		p.t.Error(resp, err)
	}
}

// Without clients that leave, the limit is reached exactly.
func TestLimitIsExact(t *testing.T) {
	g := newGate()
	p := startPod(t, startApp(t, g), func(c *Config) { c.ContainerConcurrency = 3 })
	var clients sync.WaitGroup
	for range 10 {
		clients.Go(func() {
			if got := p.get("/"); got.status != 200 {
				t.Error(got)
			}
		})
	}
	eventually(t, "three run and seven wait", func() bool {
		s := p.policy.breaker.Stats()
		return s.InFlight == 3 && s.Waiting == 7
	})
	for range 10 {
		<-g.arrived
		if n := len(g.arrived); n > 3 {
			t.Errorf("%d in the app", n)
		}
		g.leave <- struct{}{}
	}
	clients.Wait()
}

func TestNoLimitNoQueue(t *testing.T) {
	g := newGate()
	p := startPod(t, startApp(t, g), nil)
	var clients sync.WaitGroup
	for range 200 {
		clients.Go(func() { p.do(p.h2c, p.request("/")) })
	}
	for range 200 {
		<-g.arrived
	}
	close(g.leave)
	clients.Wait()
}

// full makes a pod whose one slot and whose queue are taken.
func full(t *testing.T, depth int, edit func(*Config)) (p *pod, letGo func()) {
	g := newGate()
	p = startPod(t, startApp(t, g), func(c *Config) {
		c.ContainerConcurrency, c.QueueDepth = 1, depth
		if edit != nil {
			edit(c)
		}
	})
	var clients sync.WaitGroup
	for range 1 + depth {
		clients.Go(func() { p.get("/") })
	}
	eventually(t, "the queue is full", func() bool { return p.policy.breaker.Waiting() == depth })
	return p, func() { close(g.leave); clients.Wait() }
}

// The depth is configurable, and a request beyond it gets Retry-After.
func TestPeers15QueueFull(t *testing.T) {
	p, letGo := full(t, 4, nil)
	defer letGo()
	for _, client := range []*http.Client{p.client, p.h2c} {
		got := p.do(client, p.request("/"))
		if got.status != 503 || !begins(got.body, "pending request queue full\n") {
			t.Errorf("%d %q", got.status, got.body)
		}
		if s, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || s < 1 || s > 60 {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		contains(t, got.header.Get("Proxy-Status"), "connection_limit_reached")
	}
	req := p.request("/", "Content-Type", "application/grpc")
	if got := p.do(p.h2c, req); got.status != 200 || got.header.Get("Grpc-Status") != "8" {
		t.Errorf("gRPC: %d, grpc-status %q", got.status, got.header.Get("Grpc-Status"))
	}
}

// A queue deadline of its own, and a timeout that starts with the grant.
func TestPeers16QueueDeadline(t *testing.T) {
	t.Run("passed", func(t *testing.T) {
		p, letGo := full(t, 0, func(c *Config) { c.QueueDepth, c.QueueDeadline = 9, 30*time.Millisecond })
		defer letGo()
		eventually(t, "the slot is taken", func() bool { return p.policy.breaker.InFlight() == 1 })
		got := p.get("/")
		if got.status != 503 || !begins(got.body, "context deadline exceeded\n") {
			t.Errorf("%d %q", got.status, got.body)
		}
		contains(t, got.header.Get("Proxy-Status"), "queue_timeout")
	})
	t.Run("the wait does not count", func(t *testing.T) {
		const timeout = 400 * time.Millisecond
		var first atomic.Bool
		release := make(chan struct{})
		app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if first.CompareAndSwap(false, true) {
				<-release
				return
			}
			time.Sleep(timeout / 2)
		}))
		p := startPod(t, app, func(c *Config) {
			c.ContainerConcurrency, c.QueueDeadline, c.Timeouts.Total = 1, 10*time.Second, timeout
		})
		done := make(chan answer, 2)
		go func() { done <- p.get("/") }()
		eventually(t, "the slot is taken", first.Load)
		go func() { done <- p.get("/") }()
		eventually(t, "one waits", func() bool { return p.policy.breaker.Waiting() == 1 })
		// The first is cut off at its timeout; the second has waited as long by then, and needs half of its own.
		if got := <-done; got.status != 504 {
			t.Errorf("the first: %d", got.status)
		}
		close(release)
		if got := <-done; got.status != 200 {
			t.Errorf("the second: %d %q", got.status, got.body)
		}
	})
}

// Without it waiting counts, and the answer is the timeout's.
func TestWaitingCountsAgainstTheTimeout(t *testing.T) {
	p, letGo := full(t, 0, func(c *Config) { c.QueueDepth, c.Timeouts.Total = 5, 200*time.Millisecond })
	defer letGo()
	eventually(t, "the slot is taken", func() bool { return p.policy.breaker.InFlight() == 1 })
	if got := p.get("/"); got.status != 504 || !begins(got.body, "request timeout") {
		t.Errorf("%d %q", got.status, got.body)
	}
}

// A spilled-over request is refused, not queued, and its answer says that it was not processed.
func TestNoQueue(t *testing.T) {
	p, letGo := full(t, 2, nil)
	got := p.get("/", knative.HeaderNoQueue, "1", knative.HeaderProxyRequest, knative.ProxyActivator)
	if got.status != 503 || got.header.Get(knative.HeaderNotProcessed) != "1" {
		t.Errorf("%d %v", got.status, got.header)
	}
	contains(t, got.header.Get("Proxy-Status"), "busy")
	got = p.get("/", knative.HeaderNoQueue, "1", knative.HeaderProxyRequest, knative.ProxyActivator, "Content-Type", "application/grpc")
	if got.header.Get("Grpc-Status") != "14" || got.header.Get(knative.HeaderNotProcessed) != "1" {
		t.Errorf("gRPC: %d %v", got.status, got.header)
	}
	if n := p.policy.stats.InFlight(); n != 3 {
		t.Errorf("%d counted in flight, want 3: it is counted where it is processed", n)
	}
	letGo()
	if got := p.get("/", knative.HeaderNoQueue, "1"); got.status != 200 || got.header.Get(knative.HeaderNotProcessed) != "" {
		t.Errorf("with a free slot: %d", got.status)
	}
}

// echo answers with what it got, a field a line.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(knative.HeaderNotProcessed, "1")
	w.Header().Set(knative.HeaderFeatures, "everything")
	_, _ = fmt.Fprintf(w, "Host: %s\n", r.Host)
	_ = r.Header.Write(w)
}

func TestWhatTheAppGetsToSee(t *testing.T) {
	p := startPod(t, startApp(t, http.HandlerFunc(echo)), nil)
	for _, client := range []*http.Client{p.client, p.h2c} {
		got := p.do(client, p.request("/",
			"Host", "10.0.0.7:8012",
			knative.HeaderOriginalHost, "hello.example.com",
			knative.HeaderNamespace, "default", knative.HeaderRevision, "hello-00001",
			knative.HeaderHash, "h", knative.HeaderProbe, "",
			knative.HeaderNoQueue, "0", knative.HeaderFeatures, "x", knative.HeaderNotProcessed, "1",
			knative.HeaderProxyRequest, knative.ProxyActivator, knative.HeaderPassthroughLB, "true",
			knative.HeaderTag, "blue", knative.HeaderDefaultRoute, "false",
			"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https",
		))
		want := "Host: hello.example.com\n"
		if !strings.HasPrefix(got.body, want) {
			t.Errorf("Host: %q", got.body)
		}
		for _, gone := range []string{
			knative.HeaderOriginalHost, knative.HeaderNamespace, knative.HeaderRevision, knative.HeaderHash, knative.HeaderProbe,
			knative.HeaderNoQueue, knative.HeaderFeatures, knative.HeaderNotProcessed,
		} {
			if strings.Contains(got.body, gone+":") {
				t.Errorf("the app sees %s:\n%s", gone, got.body)
			}
		}
		for _, kept := range []string{
			knative.HeaderProxyRequest + ": activator", knative.HeaderPassthroughLB + ": true", knative.HeaderTag + ": blue",
			knative.HeaderDefaultRoute + ": false", "X-Forwarded-For: 1.2.3.4, 127.0.0.1", "X-Forwarded-Proto: https",
			"Forwarded: for=1.2.3.4;proto=https\r",
		} {
			contains(t, got.body, kept)
		}
		if got.header.Get(knative.HeaderNotProcessed) != "" || got.header.Get(knative.HeaderFeatures) != "" {
			t.Error("the app speaks in our name:", got.header)
		}
	}
	if got := p.get("/", "Host", "a.example"); !strings.HasPrefix(got.body, "Host: a.example\n") || strings.Contains(got.body, "\nForwarded") {
		t.Errorf("a plain request becomes\n%s", got.body)
	}
}

// A client can't strip internal headers by calling them hop-by-hop.
func TestPeers28ConnectionOptions(t *testing.T) {
	p := startPod(t, startApp(t, http.HandlerFunc(echo)), nil)
	c, err := net.Dial("tcp", p.Addrs().Serve)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, K-Proxy-Request, K-Original-Host, X-Upstream\r\n"+
		"K-Proxy-Request: activator\r\nK-Original-Host: hello.example.com\r\nX-Upstream: 1\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	contains(t, string(body), "Host: hello.example.com\n")
	contains(t, string(body), "K-Proxy-Request: activator\r\n")
	if strings.Contains(string(body), "X-Upstream") {
		t.Errorf("a hop-by-hop field reaches the app:\n%s", body)
	}
	if r := p.policy.stats.Report(time.Now()); r.ProxiedRequests != 1 {
		t.Errorf("%v counted as proxied", r.ProxiedRequests)
	}
}

// Headers that affect limit and stats take effect only from trusted peers.
func TestPeers31OnlyTrustedPeersAreHeeded(t *testing.T) {
	for _, test := range []struct {
		name    string
		peers   []netip.Prefix
		trusted bool
	}{
		{"everybody", nil, true},
		{"us", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true},
		{"another peer", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startPod(t, startApp(t, http.HandlerFunc(echo)), func(c *Config) { c.TrustedPeers = test.peers })
			got := p.get("/", "Host", "mine", knative.HeaderOriginalHost, "spoofed",
				knative.HeaderProxyRequest, knative.ProxyActivator, knative.HeaderKubeletProbe, "1")
			host, proxied := "mine", 0.0
			if test.trusted {
				host, proxied = "spoofed", 1
			}
			contains(t, got.body, "Host: "+host+"\n")
			if has := strings.Contains(got.body, knative.HeaderProxyRequest); has != test.trusted {
				t.Errorf("the app sees\n%s", got.body)
			}
			// K-Kubelet-Probe makes no probe of it: it is counted.
			if r := p.policy.stats.Report(time.Now()); r.Requests != 1 || r.ProxiedRequests != proxied {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("no way around the limit", func(t *testing.T) {
		p, letGo := full(t, 1, nil)
		defer letGo()
		if got := p.get("/", knative.HeaderKubeletProbe, "1"); got.status != 503 {
			t.Errorf("K-Kubelet-Probe: %d", got.status)
		}
		// A probe's User-Agent gets a probe's answer, and never the app.
		if got := p.get("/", "User-Agent", kubelet); got.status != 400 {
			t.Errorf("User-Agent of the kubelet: %d", got.status)
		}
	})
}

// A client that goes while it waits leaves the queue at once, its body unread.
func TestPeers1ClientLeavesTheQueue(t *testing.T) {
	p, letGo := full(t, 0, func(c *Config) { c.QueueDepth = 5 })
	defer letGo()
	eventually(t, "the slot is taken", func() bool { return p.policy.breaker.InFlight() == 1 })
	for _, body := range []string{"", strings.Repeat("x", 1<<20)} {
		c, err := net.Dial("tcp", p.Addrs().Serve)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}()
		eventually(t, "it waits", func() bool { return p.policy.breaker.Waiting() == 1 })
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		eventually(t, "it has left", func() bool { return p.policy.breaker.Waiting() == 0 })
	}
}

// An app that closes a pooled connection as it is reused costs a request neither its answer nor its turn.
func TestPeers6StaleConnectionKeepsItsTurn(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stale, closeStale := make(chan struct{}), make(chan struct{})
	served := make(chan string, 10)
	var app sync.WaitGroup
	app.Go(func() {
		for first := true; ; first = false {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			app.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for n := 0; ; n++ {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if first && n == 1 {
						close(stale)
						<-closeStale
						return
					}
					served <- req.RequestURI
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); app.Wait() }) // after the pod has let go of its connections
	p := startPod(t, ln.Addr().String(), func(c *Config) { c.ContainerConcurrency, c.QueueDepth = 1, 1 })
	p.policy.appIsUp() // requests don't wait for it to listen
	p.get("/a")
	answers := make(chan answer, 2)
	go func() { answers <- p.get("/b") }()
	<-stale
	go func() { answers <- p.get("/c") }()
	eventually(t, "the queue is full", func() bool { return p.policy.breaker.Waiting() == 1 })
	close(closeStale)
	for range 2 {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %q", got.status, got.body)
		}
	}
	if order := <-served + <-served + <-served; order != "/a/b/c" {
		t.Errorf("served in the order %s", order)
	}
}

func exchangeOnce(t testing.TB, p *policy, req *proxy.Request, resp *proxy.Response) {
	e := p.Begin(req)
	d, err := e.Next(req, proxy.Attempt{})
	if err != nil {
		t.Fatal(err)
	}
	e.Response(req, resp)
	e.Release(d.Upstream, proxy.AttemptResult{Status: 200, Total: time.Millisecond})
	e.End(req, proxy.Result{Status: 200, Total: time.Millisecond})
}

// BenchmarkPolicy is what limit, accounting, headers and metrics cost a request with a free slot.
func BenchmarkPolicy(b *testing.B) {
	for name, metrics := range map[string]RequestMetrics{"metrics=off": MetricsOff, "metrics=on": MetricsPrometheus} {
		b.Run(name, func(b *testing.B) {
			p, err := New(Config{UserAddr: "127.0.0.1:8080", ContainerConcurrency: 100, RequestMetrics: metrics}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			p.policy.appIsUp()
			h := http.Header{"Accept": {"*/*"}, "User-Agent": {"curl"}, "K-Proxy-Request": {"activator"}}
			req := &proxy.Request{Method: "GET", Target: "/", Host: "x", Header: proxy.NewHeader(h), RemoteAddr: "127.0.0.1:1", Arrived: time.Now()}
			resp := &proxy.Response{Status: 200, Header: proxy.NewHeader(http.Header{})}
			b.ReportAllocs()
			for b.Loop() {
				exchangeOnce(b, p.policy, req, resp)
			}
		})
	}
}

// BenchmarkQueueProxy is a small request through the whole of it over keep-alive connections, client and app included.
func BenchmarkQueueProxy(b *testing.B) {
	p := startPod(b, startApp(b, http.HandlerFunc(ok)), func(c *Config) {
		c.ContainerConcurrency, c.RequestMetrics = 100, MetricsPrometheus
	})
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if got := p.get("/"); got.status != 200 {
				b.Error(got)
			}
		}
	})
}
