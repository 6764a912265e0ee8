package activator_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
)

// TestPeers4DeadPods: pods that died without a word cost their requests nothing, bodies included, but a moment.
func TestPeers4DeadPods(t *testing.T) {
	f := newFront(t, activator.Config{})
	alive := newPod(t, "alive", 0, false, nil)
	all := []*pod{alive}
	for i := range 2 {
		all = append(all, newPod(t, fmt.Sprint("dead-", i), 0, false, nil))
	}
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 100})
	f.UpdateEndpoints(hello, endpointsOf(all...))
	f.awaitUsable(t, 3)
	all[1].kill()
	all[2].kill()
	for _, a := range together(16, func(int) (a answer) {
		for range 20 {
			if a = f.do(http.MethodPost, "/", []byte("body")); !a.ok() {
				break
			}
		}
		return a
	}) {
		if !a.ok() || a.body != "alive\n" {
			t.Fatal(a)
		}
	}
}

// TestPeers4DeadApp: a pod whose queue-proxy can't reach its app says so, and its requests go elsewhere; where there is
// nowhere else, its answer is passed on.
func TestPeers4DeadApp(t *testing.T) {
	f := newFront(t, activator.Config{})
	alive := newPod(t, "alive", 0, false, nil)
	down := newPod(t, "down", 0, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Sluice-Not-Processed", "1")
		http.Error(w, "connection refused", http.StatusBadGateway)
	})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	f.UpdateEndpoints(hello, endpointsOf(alive, down))
	f.awaitUsable(t, 2)
	for _, a := range together(8, func(int) (a answer) {
		for range 20 {
			if a = f.do(http.MethodPost, "/", []byte("body")); !a.ok() {
				break
			}
		}
		return a
	}) {
		if !a.ok() || a.body != "alive\n" {
			t.Fatal(a)
		}
	}
	if n := down.served.Load(); n > 40 {
		t.Errorf("asked %d times though its app is down", n)
	}
	f.UpdateEndpoints(hello, endpointsOf(down))
	if a := f.get("/"); a.status != http.StatusBadGateway || a.body != "connection refused\n" || a.header.Get("Sluice-Not-Processed") != "" {
		t.Errorf("%v %v", a, a.header)
	}
}

// TestPeers4DeadPodComesBack: an address that refused connections is tried again.
func TestPeers4DeadPodComesBack(t *testing.T) {
	f := newFront(t, activator.Config{})
	p := newPod(t, "pod-1", 0, false, nil)
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, endpointsOf(p))
	f.awaitUsable(t, 1)
	p.kill()
	got := make(chan answer, 1)
	go func() { got <- f.get("/") }()
	time.Sleep(20 * time.Millisecond)
	p.listen(t, p.addr)
	if a := <-got; !a.ok() {
		t.Error(a)
	}
}

// TestPeers9PodsComeAndGo: under load, from none to several and back to none and again, not one request fails.
func TestPeers9PodsComeAndGo(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 2} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			t.Parallel()
			comeAndGo(t, limit)
		})
	}
}

func comeAndGo(t *testing.T, limit int) {
	f := newFront(t, activator.Config{})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: limit})
	stop := make(chan struct{})
	var served atomic.Int64
	var load sync.WaitGroup
	for i := range 16 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a := f.do([]string{http.MethodGet, http.MethodPost}[i%2], "/", []byte("body"))
				if !a.ok() {
					t.Errorf("after %d answers: %v", served.Load(), a)
					return
				}
				served.Add(1)
			}
		})
	}
	var pods []*pod
	for round := range 4 {
		for i := range 4 {
			p := newPod(t, fmt.Sprint(round, "-", i), limit, false, nil)
			pods = append(pods, p)
			f.UpdateEndpoints(hello, endpointsOf(pods...))
			await(t, "requests to be served", func() bool { return p.served.Load() > 20 || t.Failed() })
		}
		for len(pods) > 0 {
			gone := pods[0]
			pods = pods[1:]
			f.UpdateEndpoints(hello, endpointsOf(pods...)) // out of the endpoints first, as Kubernetes does
			load.Go(func() { gone.drain(t) })
			time.Sleep(10 * time.Millisecond)
		}
	}
	p := newPod(t, "last", limit, false, nil)
	f.UpdateEndpoints(hello, endpointsOf(p))
	close(stop)
	load.Wait()
	t.Logf("%d requests", served.Load())
}
