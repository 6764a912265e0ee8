package throttler

import "context"

// Place is a place in a revision's queue, of a request that waits without blocking: see [Throttler.Queue].
type Place struct {
	r *revision
	w *waiter
}

// Leave ends the wait. It returns the lease that the request has been given, ErrRevisionGone, or the error of
// SetUnavailable; while it is still in the queue it returns why, which must not be nil then.
func (p *Place) Leave(why error) (Lease, error) {
	if p.r.leave(p.w) {
		return Lease{}, unlessNil(why)
	}
	if p.w.err == nil {
		p.r.wakeUps.Add(1)
	}
	return p.w.lease, p.w.err
}

// BreakerPlace is a place in a Breaker's queue: see [Breaker.Queue].
type BreakerPlace struct {
	b *Breaker
	w *waiter
}

// Leave ends the wait. It returns nil with a slot, which needs one Release; while the request is still in the queue it
// returns why, which must not be nil then.
func (p *BreakerPlace) Leave(why error) error {
	if p.b.leave(p.w) {
		return unlessNil(why)
	}
	return nil
}

// unlessNil keeps a wait that was left without a reason from being taken for a slot.
func unlessNil(why error) error {
	if why == nil {
		return context.Canceled
	}
	return why
}
