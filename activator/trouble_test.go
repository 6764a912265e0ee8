package activator_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// endpointAt is a pod at an address, by a name of its own.
func endpointAt(addr string) activator.Endpoint {
	return activator.Endpoint{ID: "uid", Addr: addr, Name: "hello-00001-deployment-abc"}
}

func ready(all ...activator.Endpoint) activator.Endpoints { return activator.Endpoints{Ready: all} }

// freeAddr is an address at which nobody listens, where no other test finds a free port.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		t.Skip("the loopback has no address but 127.0.0.1: ", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveRaw accepts connections and hands each to f.
func serveRaw(t *testing.T, f func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// awaitDetails probes a queue-proxy as an activator does until it says so.
func awaitDetails(t *testing.T, addr, want string) {
	t.Helper()
	await(t, want, func() bool {
		req, _ := http.NewRequest(http.MethodGet, "http://"+addr+"/healthz", http.NoBody)
		req.Header.Set("User-Agent", "Knative-Activator-Probe")
		req.Header.Set(knative.HeaderProbe, "queue")
		req.Header.Set(knative.HeaderPatience, "200")
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return strings.Contains(resp.Header.Get("Proxy-Status"), want)
	})
}

// For each way in which a revision can't serve there is a line of the log, a metric, and a sentence in the answer.
func TestC9ThreeInTheMorning(t *testing.T) {
	http1 := func(c *queueproxy.Config) { // a probe that tells of more than a connection
		c.Probes = []queueproxy.Probe{{Kind: queueproxy.ProbeHTTP, Addr: c.UserAddr, Target: "/healthz?token=secret", Aggressive: true}}
	}
	for _, c := range []struct {
		name, cause, says, logged string
		limit                     int
		patience                  time.Duration // of a probe
		noEarlyUse                bool
		pods                      func(t *testing.T, f *front) activator.Endpoints
	}{
		{name: "no pod", cause: "no_pod", says: "the revision has no pod", pods: func(*testing.T, *front) activator.Endpoints { return ready() }},
		{name: "pod refuses connections", cause: "connect_refused", says: "the revision's only pod refuses connections", pods: func(t *testing.T, _ *front) activator.Endpoints {
			return ready(endpointAt(freeAddr(t)))
		}},
		{name: "all pods fail", cause: "connect_refused", says: "none of the revision's 2 pods can be used; the one asked last refuses connections", pods: func(t *testing.T, _ *front) activator.Endpoints {
			return ready(activator.Endpoint{Addr: freeAddr(t)}, activator.Endpoint{Addr: freeAddr(t)})
		}},
		{name: "any HTTP server", cause: "wrong_answer", logged: "404 page not found", says: "has no queue-proxy at its address, but something else: the probe was answered 404", pods: func(t *testing.T, _ *front) activator.Endpoints {
			s := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(s.Close)
			return ready(endpointAt(s.Listener.Addr().String()))
		}},
		{name: "no HTTP", cause: "wrong_answer", logged: "SSH-2.0", says: "it doesn't speak HTTP/1.1", pods: func(t *testing.T, _ *front) activator.Endpoints {
			return ready(endpointAt(serveRaw(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n\r\n"); c.Close() })))
		}},
		{name: "closes connections", cause: "no_answer", says: "doesn't answer the probe: the connection was closed", pods: func(t *testing.T, _ *front) activator.Endpoints {
			return ready(endpointAt(serveRaw(t, func(c net.Conn) { c.Close() })))
		}},
		{name: "silent", cause: "no_answer", says: "accepts connections and doesn't answer the probe", pods: func(t *testing.T, _ *front) activator.Endpoints {
			return ready(endpointAt(newPod(t, "held", 0, true, nil).addr))
		}},
		{name: "unready by a remote queue-proxy", cause: "not_ready", says: "isn't ready: the probe was answered 503", pods: func(t *testing.T, _ *front) activator.Endpoints {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
			t.Cleanup(s.Close)
			return ready(endpointAt(s.Listener.Addr().String()))
		}},
		{patience: time.Second, name: "app starts slowly", cause: "not_ready", says: "isn't ready: the app doesn't listen on 127.0.0.", pods: func(t *testing.T, _ *front) activator.Endpoints {
			return ready(endpointAt(newSidecar(t, "slow", 0, 0).addr))
		}},
		{patience: time.Second, name: "app fails its probe", cause: "not_ready", says: "isn't ready: the readiness probe fails: GET /healthz on 127.0.0.", pods: func(t *testing.T, _ *front) activator.Endpoints {
			app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
			t.Cleanup(app.Close)
			s := newSidecar(t, "ill", 0, 0, func(c *queueproxy.Config) { c.UserAddr = app.Listener.Addr().String(); http1(c) })
			awaitDetails(t, s.addr, "status 500")
			return ready(endpointAt(s.addr))
		}},
		{patience: time.Second, name: "app listens on ::1 only", cause: "not_ready", says: ", but on [::1]:", pods: func(t *testing.T, _ *front) activator.Endpoints {
			l, err := net.Listen("tcp", "[::1]:0")
			if err != nil {
				t.Skip("there is no IPv6 here: ", err)
			}
			t.Cleanup(func() { l.Close() })
			_, port, _ := net.SplitHostPort(l.Addr().String())
			s := newSidecar(t, "six", 0, 0, func(c *queueproxy.Config) { c.UserAddr = "127.0.0.1:" + port; http1(c) })
			awaitDetails(t, s.addr, "but on [::1]:"+port)
			return ready(endpointAt(s.addr))
		}},
		{patience: time.Second, name: "app crashed behind its sidecar", cause: "not_ready", says: "any more: it has crashed or is restarting", pods: func(t *testing.T, f *front) activator.Endpoints {
			app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			t.Cleanup(app.Close)
			s := newSidecar(t, "crashed", 0, 0, func(c *queueproxy.Config) { c.UserAddr = app.Listener.Addr().String(); http1(c) })
			f.UpdateEndpoints(hello, ready(endpointAt(s.addr)))
			if a := f.get("/"); !a.ok() {
				t.Fatal(a)
			}
			app.Close()
			awaitDetails(t, s.addr, "has crashed")
			return ready(endpointAt(s.addr))
		}},
		{name: "not listed as ready", cause: "not_listed_ready", noEarlyUse: true, says: "passes its probe, but Kubernetes doesn't call it Ready", pods: func(t *testing.T, _ *front) activator.Endpoints {
			return activator.Endpoints{NotReady: []activator.Endpoint{endpointAt(newPod(t, "early", 0, false, nil).addr)}}
		}},
		{name: "full", cause: "full", limit: 1, says: "every pod of the revision that can be used is busy (1, each with 1 requests at a time)", pods: func(t *testing.T, f *front) activator.Endpoints {
			held, letGo := blocking()
			var in atomic.Int32
			p := newPod(t, "full", 0, false, func(http.ResponseWriter, *http.Request) { in.Add(1); <-held })
			f.UpdateEndpoints(hello, ready(p.endpoint()))
			done := make(chan answer, 1)
			go func() { done <- f.get("/") }()
			t.Cleanup(func() { letGo(); <-done })
			await(t, "the pod to be busy", func() bool { return in.Load() > 0 })
			return ready(p.endpoint())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zap.InfoLevel)
			registry := prometheus.NewRegistry()
			f := newLoggingFront(t, activator.Config{Registerer: registry, ProbeTimeout: c.patience}, zap.New(core))
			r := activator.Revision{ID: hello, Limit: c.limit, NoEarlyUse: c.noEarlyUse}
			f.UpdateRevision(r)
			f.UpdateEndpoints(hello, c.pods(t, f))
			r.Timeouts = timeout(1500*time.Millisecond + 2*c.patience)
			f.UpdateRevision(r)
			a := f.get("/")
			if a.status != http.StatusGatewayTimeout || !strings.HasPrefix(a.body, "activator request timeout\n") ||
				!strings.Contains(a.body, c.says) || strings.Contains(a.body, "secret") {
				t.Errorf("%v, want %q", a, c.says)
			}
			if status := strings.ReplaceAll(a.header.Get("Proxy-Status"), `\`, ""); !strings.Contains(status, c.says) {
				t.Errorf("Proxy-Status %q, want %q", status, c.says)
			}
			lines := logs.FilterMessage("a revision can't serve").All()
			if len(lines) != 1 {
				t.Fatalf("%d lines: %v", len(lines), lines)
			}
			fields := lines[0].ContextMap()
			if fields["revision"] != hello.String() || fields["cause"] != c.cause || !strings.Contains(fields["why"].(string), c.says) {
				t.Errorf("logged %v", fields)
			}
			if answer, _ := fields["answer"].(string); !strings.Contains(answer, c.logged) {
				t.Errorf("logged the answer %q, want %q", answer, c.logged)
			}
			if n := unavailable(t, registry, c.cause); n != 1 {
				t.Errorf("%v requests counted, want 1", n)
			}
			f.DeleteRevision(hello)
			if n := unavailable(t, registry, ""); n != 0 {
				t.Errorf("%v requests are counted for a revision that is gone", n)
			}
		})
	}
}

// unavailable sums up the metric over the causes that begin so.
func unavailable(t *testing.T, r *prometheus.Registry, cause string) (n float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "sluice_revision_unavailable_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "cause" && strings.HasPrefix(l.GetValue(), cause) {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// A source's own word for what is wrong is logged and counted as well.
func TestC9UnavailableIsLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	registry := prometheus.NewRegistry()
	f := newLoggingFront(t, activator.Config{Registerer: registry}, zap.New(core))
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateUnavailable(hello, "the app crashes")
	for range 3 {
		if a := f.get("/"); a.status != http.StatusServiceUnavailable || a.body != "the app crashes\n" {
			t.Error(a)
		}
	}
	if lines := logs.FilterMessage("a revision can't serve").All(); len(lines) != 1 || lines[0].ContextMap()["why"] != "the app crashes" {
		t.Errorf("logged %v", lines)
	}
	if n := unavailable(t, registry, "unavailable"); n != 3 {
		t.Errorf("%v requests counted", n)
	}
}

// A cold start that goes well is no trouble.
func TestC9AColdStartIsQuiet(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	registry := prometheus.NewRegistry()
	f := newLoggingFront(t, activator.Config{Registerer: registry}, zap.New(core))
	f.UpdateRevision(activator.Revision{ID: hello})
	begin := time.Now()
	go func() {
		f.awaitWaiting(t, 10)
		f.UpdateEndpoints(hello, endpointsOf(newPod(t, "pod", 0, false, nil)))
	}()
	for _, a := range together(10, func(int) answer { return f.get("/") }) {
		if !a.ok() {
			t.Error(a)
		}
	}
	n := logs.Len() + int(unavailable(t, registry, ""))
	if took := time.Since(begin); n != 0 && took < time.Second { // a machine may take longer, and it is said then
		t.Errorf("%d lines and counts after %v", n, took)
	}
}

// Any server of HTTP takes requests when a connection is all that is asked for, from when it listens.
func TestC16AnyHTTPServer(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	f := newLoggingFront(t, activator.Config{}, zap.New(core))
	addr := freeAddr(t)
	plain := activator.Revision{ID: hello, Limit: 2, Probe: activator.ProbeTCP}
	f.UpdateRevision(plain)
	f.UpdateEndpoints(hello, ready(activator.Endpoint{Addr: addr}))
	answers := make(chan []answer, 1)
	go func() { answers <- together(5, func(int) answer { return f.get("/") }) }()
	f.awaitWaiting(t, 5)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var probes atomic.Int32
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(knative.HeaderProbe) != "" {
			probes.Add(1)
		}
		_, _ = io.WriteString(w, "plain")
	})}}
	s.Start()
	defer s.Close()
	for _, a := range <-answers {
		if !a.ok() || a.body != "plain" {
			t.Error(a)
		}
	}

	if n := probes.Load(); n > 0 {
		t.Errorf("it was asked for a queue-proxy %d times", n)
	}

	// Without the setting it is said once what is wrong.
	plain.Probe, plain.Timeouts = activator.ProbeQueueProxy, timeout(300*time.Millisecond)
	f.UpdateRevision(plain)
	f.awaitUsable(t, 0)
	await(t, "the probe to fail", func() bool { return probes.Load() > 1 }) // the first has been judged
	for range 3 {
		if a := f.get("/"); a.status != http.StatusGatewayTimeout || !strings.Contains(a.body, "no queue-proxy at its address, but something else: the probe was answered 200") {
			t.Error(a)
		}
	}
	lines := logs.FilterMessage("a revision can't serve").All()
	if len(lines) != 1 || lines[0].ContextMap()["cause"] != "wrong_answer" || lines[0].ContextMap()["answer"] != "plain" {
		t.Errorf("logged %v", lines)
	}
}
