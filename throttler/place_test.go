package throttler

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// acquireByPlace is Acquire by way of Queue. A second call of tell would never return.
func (t *Throttler) acquireByPlace(ctx context.Context, d Demand) (Lease, error) {
	told := make(chan struct{}, 1)
	l, p, err := t.Queue(d, func() { told <- struct{}{} })
	if p == nil {
		return l, err
	}
	select {
	case <-told:
	case <-ctx.Done():
	}
	return p.Leave(context.Cause(ctx))
}

func (b *Breaker) acquireByPlace(ctx context.Context) error {
	told := make(chan struct{}, 1)
	p, err := b.Queue(func() { told <- struct{}{} })
	if p == nil {
		return err
	}
	select {
	case <-told:
	case <-ctx.Done():
	}
	return p.Leave(context.Cause(ctx))
}

// Places are served in order among those who block, and one that is left makes way.
func TestBreakerPlaces(t *testing.T) {
	b := NewBreaker(1, 3)
	if p, err := b.Queue(nil); p != nil || err != nil {
		t.Fatalf("a free slot: %v, %v", p, err)
	}
	var told [3]int
	var places [3]*BreakerPlace
	for i := range places {
		var err error
		if places[i], err = b.Queue(func() { told[i]++ }); err != nil || places[i] == nil {
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
	if told != [3]int{0, 1, 0} {
		t.Errorf("told %v", told)
	}
	if err := places[1].Leave(why); err != nil { // too late to go without it
		t.Errorf("served: %v", err)
	}
	b.Release()
	if err := places[2].Leave(nil); err != nil || told != [3]int{0, 1, 1} || b.InFlight() != 1 {
		t.Errorf("the last: %v, told %v, %+v", err, told, b.Stats())
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

// Who waits by place, who blocks and who gives up at the moment of being served leave no slot behind, nor take two.
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
