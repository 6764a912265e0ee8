package throttler_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

func TestPeers3SpillOver(t *testing.T) {
	th, d := withPods(t, 0, 0)
	pods := []throttler.Backend{
		{ID: "own", Slots: 2, Own: true},
		{ID: "remote-1", Slots: 2, Spillover: true},
		{ID: "remote-2", Slots: 2, Spillover: true},
		{ID: "unaware", Slots: 2},
	}
	th.SetBackends(d.Revision, pods)
	for range 2 {
		if l := acquire(t, th, d); l.ID() != "own" || l.Spillover() {
			t.Errorf("%s first, spilled %v", l.ID(), l.Spillover())
		}
	}
	one, two := acquire(t, th, d), acquire(t, th, d)
	if !one.Spillover() || !two.Spillover() || one.ID() == two.ID() {
		t.Errorf("spilled %s and %s", one.ID(), two.ID())
	}
	full(t, th, d) // one request at a time for each, and none for the pod that would queue it
	one.Release(throttler.OK)
	if l := acquire(t, th, d); l.ID() != one.ID() {
		t.Errorf("spilled %s, want %s", l.ID(), one.ID())
	}
}

// A request that could not go elsewhere takes, and waits for, own pods only.
func TestPeers3NoLend(t *testing.T) {
	th, d := withPods(t, 0, 0)
	th.SetBackends(d.Revision, []throttler.Backend{
		{ID: "own", Slots: 1, Own: true}, {ID: "remote-1", Slots: 1, Spillover: true}, {ID: "remote-2", Slots: 1, Spillover: true},
	})
	own := acquire(t, th, d)
	d.NoSpillover = true
	full(t, th, d)
	waited := make(chan throttler.Lease)
	go func() {
		l, err := th.Acquire(t.Context(), d)
		if err != nil {
			t.Error(err)
		}
		waited <- l
	}()
	for s, _ := th.Stats(d.Revision); s.Waiting == 0; s, _ = th.Stats(d.Revision) {
		runtime.Gosched()
	}
	own.Release(throttler.OK)
	l := <-waited
	if l.ID() != "own" {
		t.Errorf("waited for %s", l.ID())
	}
	l.Release(throttler.OK)
	d.Avoid = [2]string{"own"}
	if l := acquire(t, th, d); l.ID() != "own" {
		t.Errorf("spilled %s rather than the own pod", l.ID())
	}
	d.NoSpillover, d.Avoid = false, [2]string{}
	if l := acquire(t, th, d); !l.Spillover() {
		t.Errorf("got %s, no spillover", l.ID())
	}
}

// A request that waits for an own pod does not keep those behind it from another activator's pod.
func TestPeers3NoLendDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 0, 0)
		own := throttler.Backend{ID: "own", Slots: 1, Own: true}
		remote := throttler.Backend{ID: "remote", Slots: 1, Spillover: true}
		th.SetBackends(d.Revision, []throttler.Backend{own})
		held := acquire(t, th, d)
		got := make(chan string)
		wait := func(name string, noSpillover bool) {
			go func() {
				d := d
				d.NoSpillover = noSpillover
				l, err := th.Acquire(t.Context(), d)
				if err != nil {
					t.Error(err)
				}
				got <- name + " " + l.ID()
				l.Release(throttler.OK)
			}()
			synctest.Wait()
		}
		wait("first", true)
		wait("second", false)
		th.PatchBackends(d.Revision, []throttler.Backend{remote}, nil)
		if who := <-got; who != "second remote" {
			t.Error(who)
		}
		synctest.Wait()
		acquire(t, th, d).Release(throttler.OK) // the first would not take it
		held.Release(throttler.OK)
		if who := <-got; who != "first own" {
			t.Error(who)
		}
	})
}

// Several activators that spill over at the same time don't all ask the same pod first.
func TestPeers3LendsAnywhere(t *testing.T) {
	th, d := withPods(t, 0, 0)
	remote := podList(10, 1)
	for i := range remote {
		remote[i].Own, remote[i].Spillover = false, true
	}
	th.SetBackends(d.Revision, remote)
	spilled := map[string]bool{}
	for range 500 {
		l := acquire(t, th, d)
		spilled[l.ID()] = true
		l.Release(throttler.OK)
	}
	if len(spilled) != 10 { // one is missed with a chance of 10 × 0.9^500 < 1e-20
		t.Errorf("%d of 10 pods were asked", len(spilled))
	}
}

// A remote pod that was full is asked again after a while that grows, and the request waits in its old place.
func TestPeers3BusyForeignPodIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 0, 0)
		th.SetBackends(d.Revision, []throttler.Backend{{ID: "remote", Slots: 2, Spillover: true}})
		arrived := time.Now()
		for _, most := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
			l := acquire(t, th, d)
			l.Release(throttler.Busy)
			full(t, th, d)
			start := time.Now()
			again := d
			again.Enqueued = arrived
			l, err := th.Acquire(t.Context(), again)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > most*time.Millisecond || took < most*time.Millisecond*3/4 {
				t.Errorf("asked again after %v, want about %d ms", took, most)
			}
			l.Release(throttler.Unused)
		}
		acquire(t, th, d).Release(throttler.OK)
		acquire(t, th, d).Release(throttler.Busy)
		start := time.Now()
		if _, err := th.Acquire(t.Context(), d); err != nil || time.Since(start) > 50*time.Millisecond {
			t.Errorf("a success does not end the growth: %v, %v", time.Since(start), err)
		}
	})
}

// An own pod that was full for a moment doesn't stand idle while requests wait: each success there lets one in, and only
// one. It is left alone otherwise.
func TestPeers33FullPodTakesOneForEachThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 1, 3)
		first, second, third := acquire(t, th, d), acquire(t, th, d), acquire(t, th, d)
		third.Release(throttler.Busy)
		full(t, th, d)
		start := time.Now()
		got := make(chan throttler.Lease, 2)
		for range cap(got) {
			go func() {
				l, err := th.Acquire(t.Context(), d)
				if err != nil {
					t.Error(err)
				}
				got <- l
			}()
		}
		synctest.Wait()
		first.Release(throttler.OK)
		synctest.Wait()
		if len(got) != 1 || time.Since(start) > 0 {
			t.Errorf("after a success %d of 2 that wait were let in, after %v", len(got), time.Since(start))
		}
		second.Release(throttler.Unused) // says nothing
		synctest.Wait()
		if len(got) > 1 {
			t.Error("two were let in")
		}
		(<-got).Release(throttler.Busy)
		(<-got).Release(throttler.OK)
		if d := time.Since(start); d < 75*time.Millisecond*3/4 || d > 100*time.Millisecond {
			t.Errorf("after having declined twice it was left alone for %v", d)
		}
	})
}

func TestPeers4DeadPodIsEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 2, 1)
		arrived := time.Now()
		dead := acquire(t, th, d)
		dead.Release(throttler.DialFailed)
		again := throttler.Demand{Revision: d.Revision, Avoid: [2]string{dead.ID()}, Enqueued: arrived}
		alive := acquire(t, th, again)
		if alive.ID() == dead.ID() {
			t.Fatal("sent to the dead pod again")
		}
		full(t, th, d)
		for _, most := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000} {
			start := time.Now()
			l, err := th.Acquire(t.Context(), d)
			if err != nil || l.ID() != dead.ID() {
				t.Fatal(l.ID(), err)
			}
			if took := time.Since(start); took > most*time.Millisecond || took < most*time.Millisecond*3/4 {
				t.Errorf("back after %v, want about %d ms", took, most)
			}
			l.Release(throttler.DialFailed)
		}
		alive.Release(throttler.OK)
	})
}

// TestF10TwoPodsAreAvoided: of three, whatever the pick; and when there is no other one of them is taken all the same. A pod
// whose connection ended before an answer is ejected.
func TestF10TwoPodsAreAvoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, slots := range []int{0, 1, 10} {
			th, d := withPods(t, 3, slots)
			last := acquire(t, th, d)
			last.Release(throttler.OK)
			d.Avoid = [2]string{}
			for i, failed := 0, map[string]bool{}; i < 2; i++ {
				l := acquire(t, th, d)
				if failed[l.ID()] {
					t.Fatalf("%d slots: given to %s again", slots, l.ID())
				}
				failed[l.ID()], d.Avoid[i] = true, l.ID()
				l.Release(throttler.OK)
			}
			for range 10 {
				l := acquire(t, th, d)
				if l.ID() == d.Avoid[0] || l.ID() == d.Avoid[1] {
					t.Fatalf("%d slots: given to %s, one of %q", slots, l.ID(), d.Avoid)
				}
				l.Release(throttler.OK)
			}
			third := acquire(t, th, d)
			third.Release(throttler.Lost)
			if l := acquire(t, th, d); l.ID() == third.ID() {
				t.Errorf("%d slots: %s was lost and isn't ejected", slots, l.ID())
			}
			if s, _ := th.Stats(d.Revision); s.Ejections != 1 {
				t.Errorf("%d slots: %d ejections", slots, s.Ejections)
			}
		}
	})
}

// A hundred requests that fail together are one failure.
func TestPeers4OneOutageIsOneEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 1, 100)
		leases := make([]throttler.Lease, 100)
		for i := range leases {
			leases[i] = acquire(t, th, d)
		}
		for _, l := range leases {
			l.Release(throttler.DialFailed)
		}
		if s, _ := th.Stats(d.Revision); s.Ejections != 1 || s.Ejected != 1 {
			t.Errorf("%+v", s)
		}
		start := time.Now()
		if _, err := th.Acquire(t.Context(), d); err != nil || time.Since(start) > 100*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// When every pod has been ejected for long, one comes back within the first step.
func TestPeers4NeverAllEjectedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 5, 1)
		for range 200 {
			start := time.Now()
			l, err := th.Acquire(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Fatalf("nowhere to go for %v", took)
			}
			l.Release(throttler.DialFailed)
		}
	})
}
