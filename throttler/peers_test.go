package throttler_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

// acquire takes a slot or fails the test.
func acquire(t *testing.T, th *throttler.Throttler, d throttler.Demand) throttler.Lease {
	t.Helper()
	l, ok, err := th.TryAcquire(d)
	if !ok || err != nil {
		t.Fatalf("no slot: %v", err)
	}
	return l
}

// full fails the test if there is a slot.
func full(t *testing.T, th *throttler.Throttler, d throttler.Demand) {
	t.Helper()
	if l, ok, err := th.TryAcquire(d); ok || err != nil {
		t.Fatalf("a slot of %q, %v", l.ID(), err)
	}
}

func TestPeers1QueueIsBounded(t *testing.T) {
	a := throttler.Demand{Revision: revisionID(0), Bytes: 10}
	b := throttler.Demand{Revision: revisionID(1), Bytes: 10}
	large := throttler.Demand{Revision: revisionID(1), Bytes: 71}
	synctest.Test(t, func(t *testing.T) {
		th, err := throttler.New(throttler.Config{MaxWaiting: 8, MaxWaitingBytes: 100})
		if err != nil {
			t.Fatal(err)
		}
		th.SetRevision(a.Revision, throttler.RevisionConfig{MaxWaiting: 3})
		th.SetRevision(b.Revision, throttler.RevisionConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wait := func(d throttler.Demand) {
			wg.Go(func() {
				if _, err := th.Acquire(ctx, d); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		refused := func(d throttler.Demand, overloaded bool) {
			t.Helper()
			_, err := th.Acquire(ctx, d)
			if !errors.Is(err, throttler.ErrQueueFull) || errors.Is(err, throttler.ErrOverloaded) != overloaded {
				t.Errorf("want overloaded %v: %v", overloaded, err)
			}
		}
		wait(a)
		wait(a)
		wait(a)
		refused(a, false)
		refused(large, true)
		wait(b)
		wait(b)
		wait(b)
		refused(b, true) // with three it has as many as would be left to others
		if got := th.Totals(); got.Waiting != 6 || got.WaitingBytes != 60 || got.Overloaded != 2 {
			t.Errorf("%+v", got)
		}
		cancel()
		wg.Wait()
		if got := th.Totals(); got.Waiting != 0 || got.WaitingBytes != 0 {
			t.Errorf("left behind: %+v", got)
		}
	})
}

// A client that goes away leaves the queue at once, without a pod, a timeout or another request to trigger it.
func TestPeers1VanishedClientLeavesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 0, 1)
		var wg sync.WaitGroup
		gone := errors.New("client gone")
		cancels := make([]context.CancelCauseFunc, 1000)
		for i := range cancels {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancels[i] = cancel
			wg.Go(func() {
				if _, err := th.Acquire(ctx, d); !errors.Is(err, gone) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		for i, cancel := range cancels {
			cancel(gone)
			synctest.Wait()
			if got := th.Totals().Waiting; got != len(cancels)-i-1 {
				t.Fatalf("%d wait after %d have gone", got, i+1)
			}
		}
		wg.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestPeers2FlappingPodKeepsItsAccounting(t *testing.T) {
	th, d := withPods(t, 1, 1)
	pod := podList(1, 1)
	first := acquire(t, th, d)
	for range 3 {
		pod[0].State = throttler.Draining
		th.SetBackends(d.Revision, pod)
		full(t, th, d)
		pod[0].State = throttler.Ready
		th.SetBackends(d.Revision, pod)
		full(t, th, d)
		th.SetBackends(d.Revision, nil)
		full(t, th, d)
		th.SetBackends(d.Revision, pod)
		full(t, th, d)
		th.PatchBackends(d.Revision, pod, []string{pod[0].ID})
		full(t, th, d)
		th.DeleteRevision(d.Revision)
		th.SetRevision(d.Revision, throttler.RevisionConfig{})
		th.SetBackends(d.Revision, pod)
		full(t, th, d)
	}
	first.Release(throttler.OK)
	acquire(t, th, d).Release(throttler.OK)
}

func TestPeers2AnotherPodAtTheSameAddressStartsAfresh(t *testing.T) {
	th, d := withPods(t, 1, 1)
	old := acquire(t, th, d)
	th.SetBackends(d.Revision, []throttler.Backend{{ID: "other", Addr: old.Addr(), Slots: 1, Own: true}})
	l := acquire(t, th, d)
	if l.ID() != "other" || l.Addr() != old.Addr() {
		t.Errorf("%s at %s", l.ID(), l.Addr())
	}
	if s, _ := th.Stats(d.Revision); s.InFlight != 2 || s.Leaving != 1 || s.Backends != 1 {
		t.Errorf("%+v", s)
	}
}

func TestPeers13LeastInFlightTiesAtRandom(t *testing.T) {
	const pods, rounds = 10, 10_000
	th, d := withPods(t, pods, 0)
	count := map[string]float64{}
	for range rounds {
		l := acquire(t, th, d)
		count[l.ID()]++
		l.Release(throttler.OK)
	}
	// Each is binomial; beyond six standard deviations is a chance of 2e-9 for each of the ten.
	mean := float64(rounds) / pods
	for id, n := range count {
		if math.Abs(n-mean) > 6*math.Sqrt(mean*(1-1./pods)) {
			t.Errorf("%s was picked %v times of %d", id, n, rounds)
		}
	}
	if len(count) != pods {
		t.Errorf("%d pods were picked", len(count))
	}
	held := map[string]int{}
	for i := range 5 * pods {
		held[acquire(t, th, d).ID()]++
		for id, n := range held {
			if n > i/pods+1 {
				t.Fatalf("%s has %d of %d", id, n, i+1)
			}
		}
	}
}

func TestPeers14LateArrivalsDontOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 2, 2)
		start := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		var order []int
		for i := range 64 {
			wg.Go(func() {
				l, err := th.Acquire(t.Context(), d)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
				l.Release(throttler.OK)
				if _, ok, _ := th.TryAcquire(d); ok && i < 60 {
					t.Error("overtook a waiter")
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if took := time.Since(start); took != 80*time.Millisecond {
			t.Errorf("took %v", took)
		}
		for i, who := range order {
			if i/4 != who/4 {
				t.Errorf("%d was served as number %d", who, i)
			}
		}
	})
}

func TestPeers15RetryAfterOfRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 1, 1)
		first := acquire(t, th, d)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if l, err := th.Acquire(t.Context(), d); err == nil {
					time.Sleep(200 * time.Millisecond)
					l.Release(throttler.OK)
				}
			})
		}
		time.Sleep(200 * time.Millisecond)
		first.Release(throttler.OK)
		time.Sleep(5900 * time.Millisecond)
		// 5 a second; 30 have been served and a new request would be the 71st: 14.2 s. The time since the last one was
		// served counts too, so that the estimate grows when the queue stands still.
		if got := th.RetryAfter(d.Revision); got < 15*time.Second || got > 16*time.Second {
			t.Errorf("%v", got)
		}
		wg.Wait()
		if got := th.RetryAfter(revisionID(9)); got != time.Second {
			t.Errorf("unknown revision: %v", got)
		}
	})
}

// The list of pods becomes empty while requests come and go: every lease has a pod, and requests that wait are served by the next pod.
func TestPeers26EmptiedPodsRaceRequests(t *testing.T) {
	th, d := withPods(t, 4, 2)
	pods := podList(4, 2)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				l, err := th.Acquire(context.Background(), d)
				if err != nil || l.Addr() == "" {
					t.Errorf("sent to %q: %v", l.Addr(), err)
					return
				}
				l.Release(throttler.OK)
			}
		})
	}
	for i := range 2000 {
		th.SetBackends(d.Revision, pods[:i%5])
	}
	th.SetBackends(d.Revision, pods)
	close(stop)
	wg.Wait()
	s, _ := th.Stats(d.Revision)
	if s.InFlight != 0 || s.Waiting != 0 || s.Leaving != 0 || s.Slots != 8 || s.Handed != s.WakeUps {
		t.Errorf("%+v", s)
	}
}
