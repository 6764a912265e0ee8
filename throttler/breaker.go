package throttler

import (
	"context"
	"sync"
	"time"
)

// Breaker lets at most capacity requests in at a time and at most queue more wait, first in, first out. Make one
// with [NewBreaker]. All methods may be called from any goroutine.
type Breaker struct {
	pool sync.Pool // of *waiter

	mu       sync.Mutex
	capacity int
	queue    int
	inFlight int
	waiting  waiters
	drain    drain
	refused  uint64
}

// BreakerStats is a consistent view of a Breaker.
type BreakerStats struct {
	Capacity, Queue   int // the bounds as last set
	InFlight, Waiting int
	Refused           uint64 // how often the queue was full
}

// NewBreaker makes a Breaker. With capacity 0 nobody enters, with queue 0 nobody waits; less than 0 is taken as 0.
func NewBreaker(capacity, queue int) *Breaker {
	return &Breaker{capacity: max(capacity, 0), queue: max(queue, 0), pool: sync.Pool{New: newWaiter}}
}

// TryAcquire takes a slot if one is free. It never blocks and never overtakes a waiter. Each true needs one Release.
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

// Acquire takes a slot, waiting for one behind those who came before. It returns nil, and then needs one Release;
// ErrQueueFull at once when as many wait as may; or context.Cause(ctx) when ctx ends first, also when it had
// ended before.
func (b *Breaker) Acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.mu.Lock()
	if b.tryLocked() {
		b.mu.Unlock()
		return nil
	}
	if b.waiting.n >= b.queue {
		b.refused++
		b.mu.Unlock()
		return ErrQueueFull
	}
	w := b.pool.Get().(*waiter)
	b.enqueueLocked(w)
	b.mu.Unlock()

	select {
	case <-w.wake:
		b.pool.Put(w)
		return nil
	case <-ctx.Done():
		b.leave(w)
		return context.Cause(ctx)
	}
}

func (b *Breaker) enqueueLocked(w *waiter) {
	if b.waiting.n == 0 {
		b.drain.begin(time.Now())
	}
	w.queued = true
	b.waiting.push(w)
}

// leave takes a waiter that gave up out of the queue. If it has been given a slot in the meantime, that is passed on.
func (b *Breaker) leave(w *waiter) {
	b.mu.Lock()
	queued := w.queued
	if queued {
		w.queued = false
		b.waiting.remove(w)
	}
	b.mu.Unlock()
	if !queued {
		<-w.wake
		b.Release()
	}
	b.pool.Put(w)
}

// Release gives a slot back, to the oldest waiter if there is one. It never blocks and panics when nothing is held:
// the books would be wrong from there on.
func (b *Breaker) Release() {
	b.mu.Lock()
	if b.inFlight == 0 {
		b.mu.Unlock()
		panic("throttler: Breaker.Release without Acquire")
	}
	b.inFlight--
	woken := b.serveLocked()
	b.mu.Unlock()
	woken.wakeAll()
}

// serveLocked hands free slots to the oldest waiters, who are to be woken without the lock.
func (b *Breaker) serveLocked() (woken waiters) {
	for b.waiting.n > 0 && b.inFlight < b.capacity {
		w := b.waiting.head
		b.waiting.remove(w)
		w.queued = false
		b.inFlight++
		woken.push(w)
	}
	if woken.n > 0 {
		b.drain.served(time.Now(), woken.n)
	}
	return woken
}

// Resize changes both bounds, read as by [NewBreaker]. Who now fits is let in. Nobody is thrown out: above the new
// capacity nobody enters until enough have left, and who waits beyond the new queue goes on waiting.
func (b *Breaker) Resize(capacity, queue int) {
	b.mu.Lock()
	b.capacity, b.queue = max(capacity, 0), max(queue, 0)
	woken := b.serveLocked()
	b.mu.Unlock()
	woken.wakeAll()
}

// Stats is the state at one moment.
func (b *Breaker) Stats() BreakerStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BreakerStats{Capacity: b.capacity, Queue: b.queue, InFlight: b.inFlight, Waiting: b.waiting.n, Refused: b.refused}
}

// InFlight says how many slots are held.
func (b *Breaker) InFlight() int { return b.Stats().InFlight }

// Waiting says how many wait.
func (b *Breaker) Waiting() int { return b.Stats().Waiting }

// Capacity says how many may be in flight.
func (b *Breaker) Capacity() int { return b.Stats().Capacity }

// RetryAfter estimates, from how fast the queue has moved while there was one, when a newcomer would be served:
// whole seconds from 1 to 60, 1 while nothing has been measured.
func (b *Breaker) RetryAfter() time.Duration {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.drain.retryAfter(now, b.waiting.n)
}
