package activator

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// running is an activator that probes pods of f, until the returned function is called.
func running(t *testing.T, c Config, f *fakePods) (a *Activator, end func()) {
	t.Helper()
	c.Dial = f.dial
	a = unrun(t, c)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { defer close(ended); a.prober.run(ctx) }()
	synctest.Wait()
	return a, func() { cancel(); <-ended }
}

func (f *fakePods) dials() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dialed)
}

// TestEarlyUseIsWatched: a pod that is used before Kubernetes calls it Ready goes out of use when its app turns unready,
// but not for one probe that was lost; it is probed less and less often, and no more when it is Ready.
func TestEarlyUseIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lose atomic.Int32
		f := &fakePods{answer: func(string) func(net.Conn) {
			if lose.Add(-1) >= 0 {
				return saying(0, 503, "")
			}
			return healthy
		}}
		a, end := running(t, Config{}, f)
		defer end()
		a.UpdateRevision(Revision{ID: rev})
		a.UpdateEndpoints(rev, Endpoints{NotReady: endpoints("a")})
		synctest.Wait()
		if ready(t, a) != 1 {
			t.Fatal("not used early")
		}
		time.Sleep(time.Minute)
		before := f.dials()
		if before > 60 {
			t.Errorf("%d probes in the first minute", before)
		}
		lose.Store(1)
		for range 3000 {
			time.Sleep(time.Millisecond)
			if ready(t, a) != 1 {
				t.Fatal("out of use for one lost probe")
			}
		}
		lose.Store(1000)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if ready(t, a) != 0 {
			t.Fatal("in use though its app turned unready")
		}
		lose.Store(0)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if ready(t, a) != 1 {
			t.Fatal("not used again")
		}
		a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
		n := f.dials()
		time.Sleep(time.Minute)
		if f.dials() != n {
			t.Error("probed on though Kubernetes calls it Ready")
		}
	})
}

// TestDeadAddressIsLeftAlone: it is probed every few seconds while nobody waits, at once when a request begins to, and
// often while it does.
func TestDeadAddressIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakePods{answer: func(string) func(net.Conn) { return nil }}
		a, end := running(t, Config{}, f)
		defer end()
		a.UpdateRevision(Revision{ID: rev})
		a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		n := f.dials()
		time.Sleep(time.Minute)
		synctest.Wait()
		if idle := f.dials() - n; idle > 15 {
			t.Errorf("%d probes a minute while nobody waits", idle)
		}
		time.Sleep(time.Second) // somewhere in a pause
		synctest.Wait()
		n = f.dials()
		h := &a.revisions.get(rev.Namespace, rev.Name).demand
		h.begin()
		synctest.Wait()
		if f.dials() != n+1 {
			t.Errorf("%d probes when a request began to wait", f.dials()-n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if busy := f.dials() - n; busy < 250 || busy > 350 {
			t.Errorf("%d probes a minute while one waits", busy)
		}
		h.end()
		// Requests that come and go don't make it hammered.
		n = f.dials()
		for range 60_000 {
			h.begin()
			h.end()
			time.Sleep(time.Millisecond)
		}
		if n := f.dials() - n; n > 60*40+10 {
			t.Errorf("%d probes a minute while requests come and go", n)
		}
	})
}

// TestReadyIsProbedAtOnce: that Kubernetes calls a pod Ready ends a pause.
func TestReadyIsProbedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		f := &fakePods{answer: func(string) func(net.Conn) {
			if up.Load() {
				return healthy
			}
			return nil
		}}
		a, end := running(t, Config{}, f)
		defer end()
		a.UpdateRevision(Revision{ID: rev})
		a.UpdateEndpoints(rev, Endpoints{NotReady: endpoints("a")})
		time.Sleep(10*time.Minute + 1234*time.Millisecond)
		up.Store(true)
		a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
		synctest.Wait()
		if ready(t, a) != 1 {
			t.Error("not used at once")
		}
	})
}

// TestPeers10InTime: with the prober at work. A mesh comes and goes.
func TestPeers10InTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mesh atomic.Bool
		mesh.Store(true)
		f := &fakePods{answer: func(addr string) func(net.Conn) {
			if mesh.Load() && addr != clusterAddr {
				return saying(0, 503, "")
			}
			return healthy
		}}
		a, end := running(t, Config{}, f)
		defer end()
		a.UpdateRevision(Revision{ID: rev})
		a.UpdateEndpoints(rev, behind("a", "b", "c"))
		synctest.Wait()
		if w := way(t, a); w != clusterAddr {
			t.Fatalf("goes to %q", w)
		}
		time.Sleep(time.Hour)
		n := f.dials()
		time.Sleep(time.Minute)
		if n = f.dials() - n; n < 30 || n > 45 {
			t.Errorf("%d probes of three pods in a minute behind a mesh", n)
		}
		mesh.Store(false)
		time.Sleep(idlePause + 1500*time.Millisecond)
		synctest.Wait()
		if n := ready(t, a); n != 3 || way(t, a) == clusterAddr {
			t.Errorf("%d pods in use", n)
		}
		n = f.dials()
		time.Sleep(time.Minute)
		if f.dials() != n {
			t.Error("probed on though all are Ready and in use")
		}
	})
}
