package activator_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
)

// TestLimitChangesWhileRequestsWait: they are let in as the new limit says, and never beyond it.
func TestLimitChangesWhileRequestsWait(t *testing.T) {
	f := newFront(t, activator.Config{})
	release, unblock := blocking()
	defer unblock()
	p := newPod(t, "pod-1", 0, false, func(http.ResponseWriter, *http.Request) { <-release })
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	f.UpdateEndpoints(hello, endpointsOf(p))
	done := make(chan []answer)
	go func() { done <- together(10, func(int) answer { return f.get("/") }) }()
	f.awaitWaiting(t, 9)
	for _, limit := range []int{4, 2, 6} {
		f.UpdateRevision(activator.Revision{ID: hello, Limit: limit})
		await(t, "the limit to be used", func() bool { return p.inFlight.Load() == int64(max(4, limit)) })
	}
	if p.most.Load() != 6 {
		t.Errorf("%d at a time", p.most.Load())
	}
	f.UpdateRevision(activator.Revision{ID: hello})
	await(t, "all to be let in", func() bool { return p.inFlight.Load() == 10 })
	unblock()
	for _, a := range <-done {
		if !a.ok() {
			t.Error(a)
		}
	}
}

// TestTimeoutsChangeWhileRequestsWait: a request keeps what it began with.
func TestTimeoutsChangeWhileRequestsWait(t *testing.T) {
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello, Timeouts: timeout(time.Minute)})
	long := make(chan answer, 1)
	go func() { long <- f.get("/") }()
	f.awaitWaiting(t, 1)
	f.UpdateRevision(activator.Revision{ID: hello, Timeouts: timeout(20 * time.Millisecond)})
	if a := f.get("/"); a.status != http.StatusGatewayTimeout {
		t.Error(a)
	}
	f.UpdateEndpoints(hello, endpointsOf(newPod(t, "pod-1", 0, false, nil)))
	if a := <-long; !a.ok() {
		t.Error(a)
	}
}

// TestWrapPolicy: a program's own policy sees each request and its end.
func TestWrapPolicy(t *testing.T) {
	w := &wrapper{seen: make(chan string, 10)}
	f := newFront(t, activator.Config{WrapPolicy: func(p proxy.Policy) proxy.Policy { w.Policy = p; return w }})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(newPod(t, "pod-1", 0, false, nil)))
	if a := f.get("/a?b"); !a.ok() {
		t.Fatal(a)
	}
	if begin, end := <-w.seen, <-w.seen; begin != "/a?b" || end != "ended 200" {
		t.Errorf("%q, %q", begin, end)
	}
}

type wrapper struct {
	proxy.Policy
	seen chan string
}

func (w *wrapper) Begin(req *proxy.Request) proxy.Exchange {
	w.seen <- req.Target
	return &wrapped{w.Policy.Begin(req), w}
}

type wrapped struct {
	proxy.Exchange
	w *wrapper
}

func (x *wrapped) End(req *proxy.Request, r proxy.Result) {
	x.Exchange.End(req, r)
	if r.Status == http.StatusOK {
		x.w.seen <- "ended 200"
	}
}

// TestPeers23ColdStarts: each part of a cold start is measured, of warm requests nothing; and who asks is told.
func TestPeers23ColdStarts(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newFront(t, activator.Config{Registerer: reg})
	f.UpdateRevision(activator.Revision{ID: hello})
	got := make(chan answer, 1)
	go func() { got <- f.get("/", "Sluice-Trace", "1") }()
	f.awaitWaiting(t, 1)
	f.UpdateEndpoints(hello, endpointsOf(newPod(t, "pod-1", 0, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server-Timing", "db;dur=1")
	})))
	told := regexp.MustCompile(`^db;dur=1, sluice-wait;dur=[0-9]+\.[0-9], sluice-first-byte;dur=[0-9]+\.[0-9]$`)
	if a := <-got; !a.ok() || !told.MatchString(strings.Join(a.header.Values("Server-Timing"), ", ")) {
		t.Fatal(a, a.header)
	}
	if a := f.get("/", "Sluice-Trace", "1"); a.header.Get("Server-Timing") != "db;dur=1" {
		t.Error(a, a.header)
	}
	for _, part := range []string{"wait", "first_byte", "total"} {
		if line := "sluice_cold_start_seconds,part=" + part + " 1\n"; !strings.Contains(gather(t, reg), line) {
			t.Errorf("no %q in\n%s", line, gather(t, reg))
		}
	}
}

// TestEarlyRequestsWait: requests that come before the source has told everything wait for that, within the bound on
// what waits, and are answered.
func TestEarlyRequestsWait(t *testing.T) {
	a, err := activator.New(activator.Config{MaxWaiting: 20, Proxies: loopback}, nil)
	if err != nil {
		t.Fatal(err)
	}
	src := &slowSource{make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- a.Run(ctx, src) }()
	url, end := serve(t, a)
	tr := &http.Transport{}
	f := &front{a, url, &http.Client{Transport: tr}}
	defer func() {
		tr.CloseIdleConnections()
		end()
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		_ = a.Close()
	}()
	answers := make(chan answer, 30)
	for range 30 {
		go func() { answers <- f.get("/") }()
	}
	for range 10 { // those that are one too many
		if a := <-answers; a.status != 503 || !strings.HasPrefix(a.body, "pending request queue full\n") || a.header.Get("Retry-After") == "" {
			t.Fatal(a)
		}
	}
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(newPod(t, "pod-1", 0, false, nil)))
	if a := f.get("/"); !a.ok() { // its revision is known
		t.Error(a)
	}
	close(src.synced)
	for range 20 {
		if a := <-answers; !a.ok() {
			t.Error(a)
		}
	}
}
