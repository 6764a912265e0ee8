package activator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// TestHoldFromZero: a request that comes before any pod is held until one passes its probe, and tells its story.
func TestHoldFromZero(t *testing.T) {
	cold, held := make(chan activator.ColdStart, 10), make(chan throttler.RevisionID, 10)
	f := newFront(t, activator.Config{
		OnColdStart: func(c activator.ColdStart) { cold <- c },
		OnHold:      func(id throttler.RevisionID) { held <- id },
	})
	f.UpdateRevision(activator.Revision{ID: hello})
	got := make(chan answer, 1)
	go func() { got <- f.get("/") }()
	f.awaitWaiting(t, 1)
	if id := <-held; id != hello {
		t.Error(id)
	}

	p := newPod(t, "pod-1", 0, true, nil)
	f.UpdateEndpoints(hello, activator.Endpoints{NotReady: []activator.Endpoint{p.endpoint()}})
	select {
	case a := <-got:
		t.Fatalf("answered before the pod was ready: %v", a)
	case <-time.After(50 * time.Millisecond):
	}
	close(p.ready)
	if a := <-got; !a.ok() || a.body != "pod-1\n" {
		t.Fatal(a)
	}
	c := <-cold
	if c.Revision != hello || c.Pod != "pod-1" || c.Granted.Sub(c.Queued) < 50*time.Millisecond || c.FirstByte.Before(c.Granted) {
		t.Errorf("%+v", c)
	}
	if a := f.get("/"); !a.ok() {
		t.Error(a)
	}
	if len(cold) > 0 || len(held) > 0 {
		t.Errorf("a warm request made a cold start, or was held: %d, %d", len(cold), len(held))
	}
}

// TestBurstFromZero: 200 requests to zero pods are all answered, and no pod gets more at a time than it may.
func TestBurstFromZero(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 5, 0} {
		t.Run(fmt.Sprint("containerConcurrency ", limit), func(t *testing.T) {
			t.Parallel()
			f := newFront(t, activator.Config{})
			f.UpdateRevision(activator.Revision{ID: hello, Limit: limit})
			done := make(chan []answer)
			go func() { done <- together(200, func(int) answer { return f.get("/") }) }()
			f.awaitWaiting(t, 200)
			var pods []*pod
			for i := range 4 {
				pods = append(pods, newPod(t, fmt.Sprint("pod-", i), 0, false, func(http.ResponseWriter, *http.Request) {
					time.Sleep(2 * time.Millisecond)
				}))
				f.UpdateEndpoints(hello, endpointsOf(pods...))
			}
			served := int64(0)
			for _, a := range <-done {
				if !a.ok() {
					t.Fatal(a)
				}
			}
			for _, p := range pods {
				served += p.served.Load()
				if most := p.most.Load(); limit > 0 && most > int64(limit) {
					t.Errorf("%d at a time in %s", most, p.id)
				}
			}
			if served != 200 {
				t.Errorf("%d served", served)
			}
		})
	}
}

// TestOnTheWire: what the pod sees of a request, and the client of its answer.
func TestOnTheWire(t *testing.T) {
	f := newFront(t, activator.Config{})
	var seen *http.Request
	p := newPod(t, "pod-1", 0, false, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		w.Header().Set("Sluice-Features", "x")
		w.Header().Set("App", "y")
	})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(p))
	a := f.get("//a/%2f?b", "Host", "www.example.com",
		"Knative-Serving-Namespace", "default", "Knative-Serving-Revision", "hello-00001",
		"K-Proxy-Request", "forged", "Sluice-No-Queue", "1", "Sluice-Features", "no-queue", "K-Passthrough-Lb", "true",
		"K-Network-Hash", "x", "Knative-Serving-Tag", "blue", "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1")
	if !a.ok() || a.header.Get("Sluice-Features") != "" || a.header.Get("App") != "y" {
		t.Fatal(a, a.header)
	}
	if seen.RequestURI != "//a/%2f?b" || seen.Host != p.addr {
		t.Errorf("got %s from host %s", seen.RequestURI, seen.Host)
	}
	for name, want := range map[string]string{
		"K-Proxy-Request": "activator", "K-Original-Host": "www.example.com", "Knative-Serving-Tag": "blue",
		"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "Forwarded": "for=192.0.2.1",
		"Knative-Serving-Namespace": "default", "Knative-Serving-Revision": "hello-00001", "Sluice-No-Queue": "", "Sluice-Features": "",
		"K-Passthrough-Lb": "", "K-Network-Hash": "",
	} {
		if got := strings.Join(seen.Header.Values(name), "; "); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	f.get("/", "K-Original-Host", "ingress.example.com")
	if got := seen.Header.Values("K-Original-Host"); len(got) != 1 || got[0] != "ingress.example.com" {
		t.Errorf("K-Original-Host of an ingress became %q", got)
	}
}

// TestPeers28HostileConnection: a client's Connection options don't remove what proxies tell each other.
func TestPeers28HostileConnection(t *testing.T) {
	f := newFront(t, activator.Config{})
	var seen http.Header
	p := newPod(t, "pod-1", 0, false, func(_ http.ResponseWriter, r *http.Request) { seen = r.Header })
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(p))
	a := f.get("/", "Host", "www.example.com", "Knative-Serving-Namespace", "default", "Knative-Serving-Revision", "hello-00001",
		"Connection", "K-Proxy-Request, K-Original-Host, Knative-Serving-Revision, X-Mine", "X-Mine", "gone")
	if !a.ok() || seen.Get("K-Proxy-Request") != "activator" || seen.Get("K-Original-Host") != "www.example.com" || seen.Get("X-Mine") != "" {
		t.Errorf("%v, the pod saw %v", a, seen)
	}
}

func TestUnknownRevision(t *testing.T) {
	f := newFront(t, activator.Config{})
	for _, c := range []struct {
		header []string
		want   string
	}{
		{[]string{"Host", helloHost}, "Error getting active endpoint: revision \"default/hello-00001\": unknown revision\n"},
		{[]string{"Host", "example.com"}, "Error getting active endpoint: neither headers nor host \"example.com\" name a revision\n"},
		{[]string{"Host", "x", "Knative-Serving-Namespace", "n", "Knative-Serving-Revision", "r"}, "Error getting active endpoint: revision \"n/r\": unknown revision\n"},
	} {
		a := f.get("/", c.header...)
		if a.status != 404 || a.body != c.want || !strings.HasPrefix(a.header.Get("Proxy-Status"), "sluice-activator; error=destination_not_found") {
			t.Errorf("%v, %q", a, a.header.Get("Proxy-Status"))
		}
	}
}

// TestDeletedWhileWaiting: requests that wait for a revision that is deleted fail at once.
func TestDeletedWhileWaiting(t *testing.T) {
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello})
	go func() {
		f.awaitWaiting(t, 20)
		f.DeleteRevision(hello)
	}()
	for _, a := range together(20, func(int) answer { return f.get("/") }) {
		if a.status != 404 || a.body != "Error getting active endpoint: revision \"default/hello-00001\": revision deleted\n" {
			t.Fatal(a)
		}
	}
	if a := f.get("/"); a.status != 404 {
		t.Error(a)
	}
}

// Whoever waits for a revision whose pods can't come is told so, and why, and so is who comes; not while a pod serves.
func TestQ9UnavailableWhileWaiting(t *testing.T) {
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello})
	go func() {
		f.awaitWaiting(t, 20)
		f.UpdateUnavailable(hello, "the app crashes")
	}()
	refused := func(a answer) {
		t.Helper()
		if a.status != 503 || a.body != "the app crashes\n" || a.header.Get("Retry-After") == "" || !strings.Contains(a.header.Get("Proxy-Status"), "not_ready") {
			t.Fatal(a)
		}
	}
	for _, a := range together(20, func(int) answer { return f.get("/") }) {
		refused(a)
	}
	refused(f.get("/"))
	p := newPod(t, "alive", 0, false, nil)
	f.UpdateEndpoints(hello, endpointsOf(p))
	f.awaitUsable(t, 1)
	if a := f.get("/"); !a.ok() {
		t.Error(a)
	}
	f.UpdateEndpoints(hello, activator.Endpoints{})
	refused(f.get("/"))
	f.UpdateUnavailable(hello, "")
	go func() {
		f.awaitWaiting(t, 1)
		f.UpdateEndpoints(hello, endpointsOf(p))
	}()
	if a := f.get("/"); !a.ok() {
		t.Error(a)
	}
}

func TestTimeoutWhileWaiting(t *testing.T) {
	f := newFront(t, activator.Config{})
	for name, timeouts := range map[string]proxy.Timeouts{
		"total":          {Total: 50 * time.Millisecond},
		"response start": {Total: time.Minute, ResponseStart: 50 * time.Millisecond},
	} {
		f.UpdateRevision(activator.Revision{ID: hello, Timeouts: timeouts})
		begin := time.Now()
		a := f.get("/")
		if d := time.Since(begin); a.status != 504 || a.body != "activator request timeout\nthe revision has no pod\n" || d < 50*time.Millisecond || d > 5*time.Second {
			t.Errorf("%s: %v after %v", name, a, d)
		}
	}
	if s, _ := f.Stats(hello); s.Waiting != 0 {
		t.Errorf("still waiting: %+v", s)
	}
}

// TestAppsOwn503IsAnAnswer: a 503 of the app is passed on as it is, and asked for once.
func TestAppsOwn503IsAnAnswer(t *testing.T) {
	f := newFront(t, activator.Config{})
	p := newPod(t, "pod-1", 0, false, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "closed today", http.StatusServiceUnavailable)
	})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(p))
	if a := f.get("/"); a.status != 503 || a.body != "closed today\n" || a.header.Get("Proxy-Status") != "" {
		t.Error(a)
	}
	if n := p.served.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
