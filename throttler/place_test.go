package throttler

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// acquireByPlace is Acquire by way of Queue. A second call of notify would never return.
func (t *Throttler) acquireByPlace(ctx context.Context, d Demand) (Lease, error) {
	notified := make(chan struct{}, 1)
	l, p, err := t.Queue(d, func() { notified <- struct{}{} })
	if p == nil {
		return l, err
	}
	select {
	case <-notified:
	case <-ctx.Done():
	}
	return p.Leave(context.Cause(ctx))
}

func (b *Breaker) acquireByPlace(ctx context.Context) error {
	notified := make(chan struct{}, 1)
	p, err := b.Queue(func() { notified <- struct{}{} })
	if p == nil {
		return err
	}
	select {
	case <-notified:
	case <-ctx.Done():
	}
	return p.Leave(context.Cause(ctx))
}

// Places are served in order together with requests that block, and one that is left lets the next one through.
func TestBreakerPlaces(t *testing.T) {
	b := NewBreaker(1, 3)
	if p, err := b.Queue(nil); p != nil || err != nil {
		t.Fatalf("a free slot: %v, %v", p, err)
	}
	var notified [3]int
	var places [3]*BreakerPlace
	for i := range places {
		var err error
		if places[i], err = b.Queue(func() { notified[i]++ }); err != nil || places[i] == nil {
			t.Fatal(i, err)
		}
	}
	if _, err := b.Queue(nil); !errors.Is(err, ErrQueueFull) {
		t.Errorf("beyond the queue: %v", err)
	}
	why := errors.New("why")
	if err := places[0].Leave(why); err != why {
		t.Errorf("left: %v", err)
	}
	b.Release()
	if notified != [3]int{0, 1, 0} {
		t.Errorf("notified %v", notified)
	}
	if err := places[1].Leave(why); err != nil { // too late to go without it
		t.Errorf("served: %v", err)
	}
	b.Release()
	if err := places[2].Leave(nil); err != nil || notified != [3]int{0, 1, 1} || b.InFlight() != 1 {
		t.Errorf("the last: %v, notified %v, %+v", err, notified, b.Stats())
	}
	b.Release()
	if s := b.Stats(); s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// A place that is left without a reason is no slot.
func TestPlacesLeftWithoutAReason(t *testing.T) {
	b := NewBreaker(0, 1)
	p, _ := b.Queue(nil)
	if err := p.Leave(nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Breaker: %v", err)
	}
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := RevisionID{"default", "x"}
	if _, p, err := th.Queue(Demand{Revision: id}, nil); p != nil || !errors.Is(err, ErrUnknownRevision) {
		t.Errorf("an unknown revision: %v, %v", p, err)
	}
	th.SetRevision(id, RevisionConfig{})
	_, place, err := th.Queue(Demand{Revision: id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := place.Leave(nil); l.Valid() || !errors.Is(err, context.Canceled) {
		t.Errorf("Throttler: %v, %v", l, err)
	}
}

// Requests that wait by Queue, that block, and that give up just as they are served neither lose a slot nor take two.
func TestPlacesRace(t *testing.T) {
	b := NewBreaker(2, 1000)
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := RevisionID{"default", "x"}
	th.SetRevision(id, RevisionConfig{})
	th.SetBackends(id, []Backend{{ID: "a", Addr: "a", Slots: 2, Own: true}})
	var most atomic.Int32
	var inB, inT atomic.Int32
	enter := func(n *atomic.Int32) {
		if now := n.Add(1); now > most.Load() {
			most.Store(now)
		}
		n.Add(-1)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 500 {
				ctx, cancel := context.WithCancel(context.Background())
				if j%3 == 0 {
					go cancel()
				}
				acquire, take := b.acquireByPlace, th.acquireByPlace
				if (i+j)%4 == 0 {
					acquire, take = b.Acquire, th.Acquire
				}
				if acquire(ctx) == nil {
					enter(&inB)
					b.Release()
				}
				if l, err := take(ctx, Demand{Revision: id}); err == nil {
					enter(&inT)
					l.Release(OK)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if s := b.Stats(); s.InFlight != 0 || s.Waiting != 0 || most.Load() > 2 {
		t.Errorf("%+v, %d at once", s, most.Load())
	}
	if l, ok, err := th.TryAcquire(Demand{Revision: id}); !ok || err != nil {
		t.Errorf("a slot afterwards: %v, %v", ok, err)
	} else {
		l.Release(OK)
	}
}
