package throttler_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

// ward counts, from outside, the leases that each pod really has.
type ward struct {
	slots    int64
	inFlight [8]atomic.Int64
	above    atomic.Int64
}

func (w *ward) pods() []throttler.Backend {
	all := make([]throttler.Backend, len(w.inFlight))
	for i := range all {
		all[i] = throttler.Backend{ID: fmt.Sprint(i), Addr: fmt.Sprint(i), Slots: int(w.slots), Own: i > 1, Spillover: true}
	}
	return all
}

func (w *ward) visit(l throttler.Lease) {
	pod := &w.inFlight[l.ID()[0]-'0']
	most := w.slots
	if l.Spillover() {
		most = 1
	}
	if pod.Add(1) > most {
		w.above.Add(1)
	}
	pod.Add(-1)
}

// client acquires in every way there is, gives up at times, and reports all kinds of outcomes.
func (w *ward) client(th *throttler.Throttler, d throttler.Demand, requests int) {
	for range requests {
		patience := rand.N(300 * time.Microsecond)
		if rand.IntN(3) == 0 {
			patience = time.Hour // a lost wake-up would show as a test that hangs
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		d.Avoid = [2]string{fmt.Sprint(rand.IntN(8))}
		d.Bytes = rand.IntN(100)
		d.NoSpillover = rand.IntN(3) == 0
		d.Enqueued = time.Time{}
		if rand.IntN(4) == 0 {
			d.Enqueued = time.Now().Add(-rand.N(time.Millisecond))
		}
		if l, err := th.Acquire(ctx, d); err == nil {
			w.visit(l)
			l.Release(throttler.Outcome(rand.IntN(int(throttler.Unused) + 1)))
			if rand.IntN(50) == 0 {
				l.Release(throttler.OK)
			}
		}
		cancel()
	}
}

// flap changes everything that may change but the slots.
func (w *ward) flap(th *throttler.Throttler, id throttler.RevisionID, times int) {
	for i := range times {
		all := w.pods()
		one := &all[rand.IntN(len(all))]
		switch rand.IntN(5) {
		case 0:
			th.SetBackends(id, all[rand.IntN(len(all)):])
		case 1:
			one.State = throttler.Draining
			th.SetBackends(id, all)
		case 2:
			one.Addr += "'"
			th.PatchBackends(id, []throttler.Backend{*one}, []string{fmt.Sprint(rand.IntN(8))})
		case 3:
			th.SetRevision(id, throttler.RevisionConfig{Pick: throttler.Pick(rand.IntN(4))})
		case 4:
			if i%10 == 0 {
				th.DeleteRevision(id)
				th.SetRevision(id, throttler.RevisionConfig{})
			}
			th.SetBackends(id, all)
		}
	}
}

// Under any interleaving: no pod above its slots, nothing lost, and every wake-up a grant.
func TestThrottlerRaces(t *testing.T) {
	th, err := throttler.New(throttler.Config{
		Eject:   throttler.Backoff{First: 50 * time.Microsecond, Max: time.Millisecond},
		Decline: throttler.Backoff{First: 50 * time.Microsecond, Max: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{slots: 2}
	d := throttler.Demand{Revision: revisionID(0)}
	th.SetRevision(d.Revision, throttler.RevisionConfig{})
	var clients, flaps sync.WaitGroup
	for range 24 {
		clients.Go(func() { w.client(th, d, 150) })
	}
	for range 2 {
		flaps.Go(func() { w.flap(th, d.Revision, 300) })
	}
	flaps.Wait()
	th.SetRevision(d.Revision, throttler.RevisionConfig{})
	th.SetBackends(d.Revision, w.pods())
	clients.Wait()
	if w.above.Load() > 0 {
		t.Errorf("%d times above the slots of a pod", w.above.Load())
	}
	s, _ := th.Stats(d.Revision)
	if s.InFlight != 0 || s.Waiting != 0 || s.WaitingBytes != 0 || s.Leaving != 0 || s.Spillover != 0 {
		t.Errorf("left behind: %+v", s)
	}
	if s.WakeUps != s.Handed {
		t.Errorf("%d wake-ups, %d grants to waiters", s.WakeUps, s.Handed)
	}
	if got := th.Totals(); got.Waiting != 0 || got.WaitingBytes != 0 || got.Revisions != 1 {
		t.Errorf("left behind: %+v", got)
	}
}

// A slot that is granted just as its waiter gives up goes to the next, which waits without a limit. The waiter whose
// context has ended seldom gets to run before the slot is released.
func TestGrantToCancelledWaiterIsPassedOn(t *testing.T) {
	th, d := withPods(t, 1, 1)
	b := throttler.NewBreaker(1, 2)
	passedOn := func() bool {
		s, _ := th.Stats(d.Revision)
		return s.PassedOn > 0
	}
	for i := 0; i < 300 || !passedOn(); i++ {
		l := acquire(t, th, d)
		passOn(t, func(ctx context.Context) error {
			l, err := th.Acquire(ctx, d)
			l.Release(throttler.OK)
			return err
		}, func() int { return th.Totals().Waiting }, func() { l.Release(throttler.OK) })

		if !b.TryAcquire() {
			t.Fatal("the breaker has lost its slot")
		}
		passOn(t, func(ctx context.Context) error {
			err := b.Acquire(ctx)
			if err == nil {
				b.Release()
			}
			return err
		}, b.Waiting, b.Release)
	}
	s, _ := th.Stats(d.Revision)
	if s.InFlight != 0 || s.Waiting != 0 || s.Handed != s.WakeUps {
		t.Errorf("%+v", s)
	}
}

// passOn queues a request that gives up and one that does not, and releases the slot as the first gives up.
func passOn(t *testing.T, visit func(context.Context) error, waiting func() int, release func()) {
	t.Helper()
	hasty, giveUp := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i, ctx := range []context.Context{hasty, t.Context()} {
		wg.Go(func() {
			if err := visit(ctx); err != nil && ctx != hasty {
				t.Error(err)
			}
		})
		for waiting() <= i {
			runtime.Gosched()
		}
	}
	giveUp()
	release()
	wg.Wait()
}

// Entries of revisions are made and removed while they are updated and used.
func TestRevisionsRace(t *testing.T) {
	th := newThrottler(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				id := revisionID(rand.IntN(3))
				switch rand.IntN(4) {
				case 0:
					th.SetRevision(id, throttler.RevisionConfig{})
				case 1:
					th.DeleteRevision(id)
				case 2:
					th.SetBackends(id, podList(rand.IntN(3), 1))
				default:
					if l, ok, _ := th.TryAcquire(throttler.Demand{Revision: id}); ok {
						l.Release(throttler.OK)
					}
				}
			}
		})
	}
	wg.Wait()
	for i := range 3 {
		th.DeleteRevision(revisionID(i))
	}
	if got := th.Totals(); got.Revisions != 0 || got.Waiting != 0 || got.WaitingBytes != 0 || got.Overloaded != 0 || got.DoubleReleases != 0 {
		t.Errorf("%+v", got)
	}
	if n := throttler.Entries(th); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// An update of a revision whose entry is being removed is not lost.
func TestWriteRacesForget(t *testing.T) {
	th := newThrottler(t)
	id := revisionID(0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					th.SetBackends(id, nil)
				}
			}
		})
	}
	for range 5000 {
		th.SetRevision(id, throttler.RevisionConfig{})
		if _, known := th.Stats(id); !known {
			t.Error("SetRevision was lost")
			break
		}
		th.DeleteRevision(id)
	}
	close(stop)
	wg.Wait()
}
