package throttler

import (
	"context"
	"sync"
	"time"
)

// Breaker lets at most capacity requests in at a time and at most queue more wait, first in, first out. Make one
// with [NewBreaker]. All methods may be called from any goroutine.
type Breaker struct {
	waiters waiterPool

	mu       sync.Mutex
	capacity int
	queue    int
	inFlight int
	waiting  waiters
	rate     serviceRate
	refused  uint64
}

// NewBreaker makes a Breaker. With capacity 0 no request enters, with queue 0 none waits; less than 0 is taken as 0.
func NewBreaker(capacity, queue int) *Breaker {
	return &Breaker{capacity: max(capacity, 0), queue: max(queue, 0)}
}

// TryAcquire takes a slot if one is free. It never blocks and never overtakes a waiting request. Each true needs one
// Release.
func (b *Breaker) TryAcquire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tryLocked()
}

func (b *Breaker) tryLocked() bool {
	if b.inFlight >= b.capacity || b.waiting.n > 0 {
		return false
	}
	b.inFlight++
	return true
}

// Acquire takes a slot, and waits for one behind earlier requests. It returns nil, and then needs one Release;
// ErrQueueFull at once when as many wait as may wait; or context.Cause(ctx) when ctx ends first, also when it had
// ended before.
func (b *Breaker) Acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w, err := b.enter(nil)
	if w == nil {
		return err
	}
	select {
	case <-w.wake:
	case <-ctx.Done():
		err = context.Cause(ctx)
		if !b.leave(w) { // it has been given a slot in the meantime
			<-w.wake
			b.Release()
		}
	}
	b.waiters.put(w)
	return err
}

// Queue is Acquire for a request that waits without blocking. Without an error it has a slot, if the place is nil, or
// else that place in the queue, which needs one Leave. notify is called once when it has been given a slot, on the goroutine
// that gives it; it must not block. It is not called when Leave comes first, but may be under way while Leave is called.
func (b *Breaker) Queue(notify func()) (*BreakerPlace, error) {
	w, err := b.enter(notify)
	if w == nil {
		return nil, err
	}
	return &BreakerPlace{b, w}, nil
}

// enter takes a slot, or a place in the queue; notify is for a BreakerPlace, or else nil.
func (b *Breaker) enter(notify func()) (*waiter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tryLocked() {
		return nil, nil
	}
	if b.waiting.n >= b.queue {
		b.refused++
		return nil, ErrQueueFull
	}
	if b.waiting.n == 0 {
		b.rate.begin(time.Now())
	}
	w := b.waiters.get(notify)
	w.in = &b.waiting
	b.waiting.push(w)
	return w, nil
}

// leave takes w out of the queue, if it is still there.
func (b *Breaker) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.in == nil {
		return false
	}
	b.waiting.remove(w)
	return true
}

// Release gives a slot back, to the oldest waiting request if there is one. It never blocks, and panics when no slot is
// held: the counts would be wrong from then on.
func (b *Breaker) Release() {
	b.mu.Lock()
	if b.inFlight == 0 {
		b.mu.Unlock()
		panic("throttler: Breaker.Release without Acquire")
	}
	b.inFlight--
	served := b.serveLocked()
	b.mu.Unlock()
	served.notifyAll()
}

// serveLocked gives free slots to the oldest waiting requests, which are to be notified without the lock.
func (b *Breaker) serveLocked() (served waiters) {
	for b.waiting.n > 0 && b.inFlight < b.capacity {
		w := b.waiting.head
		b.waiting.remove(w)
		b.inFlight++
		served.push(w)
	}
	if served.n > 0 {
		b.rate.served(time.Now(), served.n)
	}
	return served
}

// Resize changes both bounds, read as by [NewBreaker]. Requests that now fit are let in, and none is thrown out: above the
// new capacity no request enters until enough have left, and those that wait beyond the new queue go on waiting.
func (b *Breaker) Resize(capacity, queue int) {
	b.mu.Lock()
	b.capacity, b.queue = max(capacity, 0), max(queue, 0)
	served := b.serveLocked()
	b.mu.Unlock()
	served.notifyAll()
}

// BreakerStats is a consistent view of a Breaker.
type BreakerStats struct {
	Capacity, Queue   int // the bounds as last set
	InFlight, Waiting int
	Refused           uint64 // how often the queue was full
}

// Stats is the state at one moment.
func (b *Breaker) Stats() BreakerStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BreakerStats{Capacity: b.capacity, Queue: b.queue, InFlight: b.inFlight, Waiting: b.waiting.n, Refused: b.refused}
}

// InFlight says how many slots are held.
func (b *Breaker) InFlight() int { return b.Stats().InFlight }

// Waiting says how many requests wait.
func (b *Breaker) Waiting() int { return b.Stats().Waiting }

// RetryAfter estimates, from how fast the queue has moved while there was one, when a new request would be served:
// whole seconds from 1 to 60, 1 while nothing has been measured.
func (b *Breaker) RetryAfter() time.Duration {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rate.retryAfter(now, b.waiting.n)
}
