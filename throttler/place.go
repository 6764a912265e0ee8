package throttler

import "context"

// Place is a place in a revision's queue, of a request that waits without blocking: see [Throttler.Queue].
type Place struct {
	r *revision
	w *waiter
}

// Queue is Acquire for a request that waits without blocking. It returns a lease, or an error, or else a place in the
// queue, which needs one Leave. tell is called once when there is nothing more to wait for, with a slot or because the
// revision is gone or unavailable, by whoever brings that about; it must not block. It is not called when Leave comes first, but may
// be on its way while Leave is called.
func (t *Throttler) Queue(d Demand, tell func()) (Lease, *Place, error) {
	r := t.find(d.Revision)
	if r == nil {
		return Lease{}, nil, ErrUnknownRevision
	}
	l, w, err := r.enter(&d, true, tell)
	if w == nil {
		return l, nil, err
	}
	return Lease{}, &Place{r, w}, nil
}

// Leave ends the wait. It returns the lease that the place has been given, ErrRevisionGone, that of SetUnavailable, or, when it still stood in
// the queue, why, which must not be nil then.
func (p *Place) Leave(why error) (Lease, error) {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	w := p.w
	if w.queued {
		p.r.dequeue(w)
		p.r.count.Cancelled++
		return Lease{}, unlessNil(why)
	}
	if w.err == nil {
		p.r.wakeUps.Add(1)
	}
	return w.lease, w.err
}

// BreakerPlace is a place in a Breaker's queue: see [Breaker.Queue].
type BreakerPlace struct {
	b *Breaker
	w *waiter
}

// Queue is Acquire for a request that waits without blocking. Without an error it has a slot, if the place is nil, or
// else that place in the queue, which needs one Leave. tell is called once when it has been given a slot, by whoever
// gives it; it must not block. It is not called when Leave comes first, but may be on its way while Leave is called.
func (b *Breaker) Queue(tell func()) (*BreakerPlace, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tryLocked() {
		return nil, nil
	}
	if b.waiting.n >= b.queue {
		b.refused++
		return nil, ErrQueueFull
	}
	w := &waiter{tell: tell}
	b.enqueueLocked(w)
	return &BreakerPlace{b, w}, nil
}

// Leave ends the wait. It returns nil with a slot, which needs one Release, or, when it still stood in the queue, why,
// which must not be nil then.
func (p *BreakerPlace) Leave(why error) error {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if !p.w.queued {
		return nil
	}
	p.w.queued = false
	p.b.waiting.remove(p.w)
	return unlessNil(why)
}

// unlessNil keeps a wait that was left without a reason from being taken for a slot.
func unlessNil(why error) error {
	if why == nil {
		return context.Canceled
	}
	return why
}
