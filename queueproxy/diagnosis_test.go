package queueproxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

// For each reason why an app can't serve requests there is a line of the log, a metric, and a sentence in the answer.
func TestC9WhatIsWrongWithTheApp(t *testing.T) {
	httpProbe := func(c *Config) {
		c.Probes = []Probe{{Kind: ProbeHTTP, Addr: c.UserAddr, Target: "/healthz?secret", Timeout: 50 * time.Millisecond, Aggressive: true}}
	}
	app := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	silent := startApp(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	six, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		defer six.Close()
	}
	for _, c := range []struct {
		name, says string
		cause      cause
		request    bool // asks the app; else it is a probe
		addr       func(t *testing.T) string
		edit       func(*Config)
		spoil      func(t *testing.T, p *pod)
	}{
		{name: "it is starting", cause: starting, says: "doesn't listen on 127.0.0.1:… yet, ", edit: httpProbe},
		{name: "a request to one that starts", cause: starting, says: "doesn't listen on 127.0.0.1:… yet, ", request: true},
		{name: "it has crashed", cause: stopped, says: "doesn't listen on 127.0.0.1:… any more: it has crashed or is restarting", request: true, spoil: func(_ *testing.T, p *pod) { p.policy.appIsUp() }},
		{name: "its probe fails", cause: probeFailed, says: "the readiness probe fails: GET /healthz on 127.0.0.1:…: status 500", addr: func(*testing.T) string { return app }, edit: httpProbe},
		{name: "its probe isn't answered", cause: probeFailed, says: "GET /healthz on 127.0.0.1:… is not answered within 50ms", addr: func(*testing.T) string { return silent }, edit: httpProbe},
		{name: "it has no probe to pass", cause: probeFailed, says: "the readiness probe fails: it says no way to ask", addr: func(*testing.T) string { return app }, edit: func(c *Config) { c.Probes = []Probe{{Addr: c.UserAddr}} }},
		{name: "it listens on ::1", cause: otherAddress, says: "doesn't listen on 127.0.0.1:…, but on [::1]:…", request: true, addr: func(t *testing.T) string {
			if six == nil {
				t.Skip("there is no IPv6 here: ", err)
			}
			_, port, _ := net.SplitHostPort(six.Addr().String())
			return "127.0.0.1:" + port
		}},
		{name: "it listens on the pod's address", cause: otherAddress, says: "doesn't listen on 127.0.0.1:…, but on 10.1.2.3:…", request: true, spoil: func(_ *testing.T, p *pod) {
			port := netip.MustParseAddrPort(p.policy.config.UserAddr).Port()
			p.policy.readiness.diagnosis.others = func() []netip.AddrPort {
				return []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("10.1.2.3"), port)}
			}
		}},
		{name: "it listens on another port", cause: otherPort, says: "doesn't listen on 127.0.0.1:…, but in its pod something listens on port 3000, 9999; it should", request: true, spoil: func(_ *testing.T, p *pod) {
			p.policy.readiness.diagnosis.others = func() (all []netip.AddrPort) {
				for _, a := range []string{"0.0.0.0:15001", "[::]:3000", "127.0.0.1:4143", "0.0.0.0:3000", "[::]:9999"} {
					all = append(all, netip.MustParseAddrPort(a))
				}
				return all
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := deadAddr(t)
			if c.addr != nil {
				addr = c.addr(t)
			}
			core, logs := observer.New(zap.InfoLevel)
			p := startPod(t, addr, func(conf *Config) {
				conf.RequestMetrics = MetricsPrometheus
				if c.edit != nil {
					c.edit(conf)
				}
			})
			a := p.policy.readiness.diagnosis
			a.mu.Lock()
			a.log, a.created = zap.New(core), a.created.Add(-time.Minute) // it has had time to start
			a.mu.Unlock()
			if c.spoil != nil {
				c.spoil(t, p)
			}
			says := func(s string) bool { // … stands for a port
				s = strings.ReplaceAll(s, `\`, "")
				for part := range strings.SplitSeq(c.says, "…") {
					var ok bool
					if _, s, ok = strings.Cut(s, part); !ok {
						return false
					}
				}
				return true
			}
			var got answer
			if c.request {
				if got = p.get("/"); got.status < 500 || !says(got.body) {
					t.Errorf("%d %q", got.status, got.body)
				}
			} else if got = p.get("/healthz", "User-Agent", knative.UserAgentActivator, knative.HeaderProbe, knative.ProbeQueue, knative.HeaderPatience, "300"); got.status != 503 || got.body != "" {
				t.Errorf("%d %q", got.status, got.body)
			}
			if status := got.header.Get("Proxy-Status"); !says(status) || strings.Contains(status, "secret") {
				t.Errorf("Proxy-Status %q", status)
			}
			lines := logs.FilterMessage("the app can't serve requests").All()
			if len(lines) != 1 || lines[0].ContextMap()["cause"] != string(c.cause) || !says(lines[0].ContextMap()["why"].(string)) {
				t.Errorf("logged %v", lines)
			}
			if n := counted(t, p.policy.collectors.registry, c.cause); n < 1 {
				t.Errorf("counted %v", n)
			}
		})
	}
}

func counted(t *testing.T, r *prometheus.Registry, c cause) (n float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "sluice_revision_unavailable_total" && labels["cause"] == string(c) && labels["kn_revision_name"] == "hello-00001" {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestC9FullPod(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	p, letGo := full(t, 1, func(c *Config) { c.RequestMetrics = MetricsPrometheus })
	defer letGo()
	p.policy.readiness.diagnosis.log = zap.New(core)
	const says = "the pod has as many requests as it may have: its containerConcurrency is 1"
	if got := p.get("/"); got.status != 503 || got.body != "pending request queue full\n"+says+"\n" || !strings.Contains(got.header.Get("Proxy-Status"), says) {
		t.Errorf("%d %q %v", got.status, got.body, got.header)
	}
	if lines := logs.All(); len(lines) != 1 || lines[0].ContextMap()["cause"] != "full" || lines[0].ContextMap()["why"] != says {
		t.Errorf("logged %v", lines)
	}
	if n := counted(t, p.policy.collectors.registry, atLimit); n != 1 {
		t.Errorf("counted %v", n)
	}
}

// An app that reads requests and sends no response, or none of HTTP, is reported like one that can't be reached.
func TestC9AnAppThatDoesNotAnswer(t *testing.T) {
	for says, want := range map[string]cause{"": noAnswer, "SSH-2.0-OpenSSH_9.2\r\n": badAnswer} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4<<10))
				_, _ = io.WriteString(c, says)
				_ = c.Close()
			}
		}()
		core, logs := observer.New(zap.InfoLevel)
		p := startPod(t, ln.Addr().String(), func(c *Config) { c.RequestMetrics = MetricsPrometheus })
		p.policy.readiness.diagnosis.log = zap.New(core)
		for range 3 {
			if got := p.get("/"); got.status != 502 {
				t.Errorf("%q: %d %q", says, got.status, got.body)
			}
		}
		if lines := logs.All(); len(lines) != 1 || lines[0].ContextMap()["cause"] != string(want) {
			t.Errorf("%q: logged %v", says, lines)
		}
		if n := counted(t, p.policy.collectors.registry, want); n != 3 {
			t.Errorf("%q: counted %v", says, n)
		}
	}
}

// An app that is ready in time is nothing to speak of.
func TestC9AStartIsQuiet(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	p := startPod(t, startApp(t, http.HandlerFunc(ok)), func(c *Config) { c.Probes = []Probe{{Kind: ProbeTCP, Addr: c.UserAddr}} })
	p.policy.readiness.diagnosis.log = zap.New(core)
	if got := p.get("/healthz", "User-Agent", knative.UserAgentActivator, knative.HeaderProbe, knative.ProbeQueue); got.status != 200 {
		t.Errorf("%d %q", got.status, got.body)
	}
	if logs.Len() > 0 {
		t.Errorf("logged %v", logs.All())
	}
}

// Knative's default probe is held, and its probers leave before the response: the kubelet after Kubernetes' default of a
// second, Knative's activator after 300 ms. The log and the metric then have the cause as well.
func TestC9AProberThatLeavesBeforeItsAnswer(t *testing.T) {
	broken := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	for _, c := range []struct {
		name, agent, addr string
		probe             Probe
		cause             cause
		why               string
	}{
		{"kubelet, nothing listens", knative.UserAgentKubelet + "1.30", deadAddr(t), Probe{Kind: ProbeTCP, Aggressive: true}, starting, "the app doesn't listen on "},
		{"kubelet, the probe fails", knative.UserAgentKubelet + "1.30", broken, Probe{Kind: ProbeHTTP, Target: "/", Timeout: time.Second, Aggressive: true}, probeFailed, "the readiness probe fails: GET / on "},
		{"Knative's activator", knative.UserAgentActivator, deadAddr(t), Probe{Kind: ProbeTCP, Timeout: time.Second}, starting, "the app doesn't listen on "},
	} {
		t.Run(c.name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			p := startPod(t, c.addr, func(conf *Config) {
				conf.RequestMetrics = MetricsPrometheus
				c.probe.Addr = c.addr
				conf.Probes = []Probe{c.probe}
			})
			a := p.policy.readiness.diagnosis
			a.mu.Lock()
			a.log, a.created = zap.New(core), a.created.Add(-time.Minute) // it has had time to start
			a.mu.Unlock()
			ctx, leave := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer leave()
			req := p.request("/", "User-Agent", c.agent, knative.HeaderProbe, knative.ProbeQueue).WithContext(ctx)
			if resp, err := p.client.Do(req); err == nil {
				_ = resp.Body.Close()
				t.Fatalf("answered %s", resp.Status)
			}
			eventually(t, "a line of the log", func() bool { return logs.Len() > 0 })
			if l := logs.All(); l[0].ContextMap()["cause"] != string(c.cause) || !strings.HasPrefix(l[0].ContextMap()["why"].(string), c.why) {
				t.Errorf("logged %v", l)
			}
			if n := counted(t, p.policy.collectors.registry, c.cause); n != 1 {
				t.Errorf("counted %v", n)
			}
		})
	}
}

func TestC9PatienceOfAProbe(t *testing.T) {
	for said, want := range map[string]time.Duration{
		"": readinessPatience, "x": readinessPatience, "-1": readinessPatience, "99": readinessPatience, "1e3": readinessPatience,
		"300": 250 * time.Millisecond, "100": 50 * time.Millisecond, "1000": 900 * time.Millisecond, "60000": readinessPatience,
	} {
		h := http.Header{}
		h.Set(knative.HeaderPatience, said)
		if got := patience(&proxy.Request{Header: proxy.NewHeader(h)}); got != want {
			t.Errorf("%q: %v, want %v", said, got, want)
		}
	}
}

// Others of the machine are found, this process isn't.
func TestC9WhoListens(t *testing.T) {
	if listening() == nil {
		t.Skip("it isn't known here who listens")
	}
	if os.Getenv("LISTEN_AND_WAIT") != "" {
		t.Skip("this is the other process")
	}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	other := exec.Command(os.Args[0], "-test.run=^TestListenAndWait$", "-test.v")
	other.Env = append(os.Environ(), "LISTEN_AND_WAIT=1")
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = other.Wait() }()
	var addrs []netip.AddrPort
	for lines := bufio.NewScanner(out); len(addrs) < 2 && lines.Scan(); {
		if addr, err := netip.ParseAddrPort(lines.Text()); err == nil {
			addrs = append(addrs, addr)
		}
	}
	all := listening()
	for _, addr := range addrs {
		if addr.Port() > 0 && !slices.Contains(all, addr) {
			t.Errorf("%v is not among %v", addr, all)
		}
	}
	if addr := netip.MustParseAddrPort(own.Addr().String()); len(addrs) == 0 || slices.Contains(all, addr) {
		t.Errorf("this process's own %v is among %v", addr, all)
	}
}

// TestListenAndWait is the other process of TestC9WhoListens.
func TestListenAndWait(t *testing.T) {
	if os.Getenv("LISTEN_AND_WAIT") == "" {
		return
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			os.Stdout.WriteString("[::1]:0\n")
			continue
		}
		defer l.Close()
		os.Stdout.WriteString(l.Addr().String() + "\n")
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the other one closes it
}
