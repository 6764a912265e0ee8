package throttler

import (
	"context"
	"net/netip"
	"time"
)

// enqueue gives a request its place. A request that is older than all who wait has been at the head before, and an
// attempt that failed must not cost it its place: it may come back beyond the revision's bound, if not beyond that
// over all revisions.
func (r *revision) enqueue(d *Demand, tell func()) (*waiter, error) {
	by, client := held{int64(r.waiting()), r.count.WaitingBytes}, d.Client
	switch {
	case r.beforeAll(d.Enqueued):
		by, client = held{}, netip.Addr{} // whatever fits
	case r.waiting() >= r.config.MaxWaiting:
		r.count.Refused++
		return nil, ErrQueueFull
	}
	bytes := int64(max(d.Bytes, 0))
	if !r.t.reserve(by, client, bytes) {
		r.count.Refused++
		return nil, ErrOverloaded
	}
	now := time.Now()
	if r.waiting() == 0 {
		r.drain.begin(now)
	}
	w := &waiter{tell: tell}
	if tell == nil {
		w = r.t.waiters.Get().(*waiter)
	}
	w.client = client
	w.queued, w.bytes, w.not, w.noSpillover, w.since = true, bytes, avoided(d.Not), d.NoSpillover, now
	if !d.Enqueued.IsZero() && d.Enqueued.Before(now) {
		w.since = d.Enqueued
	}
	r.arrivals++
	w.seq = r.arrivals
	r.queueOf(w).insert(w)
	r.count.WaitingBytes += bytes
	return w, nil
}

func (r *revision) beforeAll(since time.Time) bool {
	w := r.oldest()
	return w != nil && !since.IsZero() && since.Before(w.since)
}

func (r *revision) waiting() int { return r.anywhere.n + r.homeOnly.n }

func (r *revision) queueOf(w *waiter) *waiters {
	if w.noSpillover {
		return &r.homeOnly
	}
	return &r.anywhere
}

// oldest is the waiter who is next, or nil.
func (r *revision) oldest() *waiter {
	a, h := r.anywhere.head, r.homeOnly.head
	if a == nil || h != nil && h.olderThan(a) {
		return h
	}
	return a
}

// mayEnter says whether a newcomer who finds a free slot may take it. While somebody waits no own slot is free; one
// that may take spillover is given out, if all who wait would not take it.
func (r *revision) mayEnter(noSpillover bool) bool {
	return r.anywhere.n == 0 && (r.homeOnly.n == 0 || !noSpillover)
}

// next is the oldest waiter whom a pod can be found for, and the pod. Who waits for an own pod does not keep those
// behind from another activator's.
func (r *revision) next() (*waiter, *pod) {
	w := r.oldest()
	if w == nil {
		return nil, nil
	}
	if p := r.choose(w.not, w.noSpillover); p != nil {
		return w, p
	}
	if w = r.anywhere.head; w == nil || r.homeOnly.head == nil {
		return nil, nil
	}
	return w, r.choose(w.not, false)
}

// dequeue takes w out of the queue; whoever does it must see to it that w learns.
func (r *revision) dequeue(w *waiter) {
	r.queueOf(w).remove(w)
	w.queued = false
	r.count.WaitingBytes -= w.bytes
	r.t.unreserve(w.client, w.bytes)
}

// wait is the waiter's part: it ends with a lease, the revision's end, or the context's.
func (r *revision) wait(ctx context.Context, w *waiter) (Lease, error) {
	var l Lease
	var err error
	select {
	case <-w.wake:
		l, err = w.lease, w.err
		if err == nil {
			r.wakeUps.Add(1)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
		r.leave(w)
	}
	w.lease, w.err, w.not, w.noSpillover = Lease{}, nil, avoided{}, false
	r.t.waiters.Put(w)
	return l, err
}

// leave takes a waiter that gave up out of the queue. A slot that it has been given in the meantime is passed on.
func (r *revision) leave(w *waiter) {
	r.mu.Lock()
	queued := w.queued
	if queued {
		r.dequeue(w)
		r.count.Cancelled++
	}
	r.mu.Unlock()
	if queued {
		return
	}
	<-w.wake
	if w.err == nil {
		r.wakeUps.Add(1)
		r.passOn(w.lease)
	}
}

func (r *revision) passOn(l Lease) {
	r.mu.Lock()
	r.count.PassedOn++
	r.mu.Unlock()
	r.release(l, Unused)
}

// serve hands free slots to the oldest waiters, who are to be woken without the lock.
func (r *revision) serve() (woken waiters) {
	for {
		w, p := r.next()
		if p == nil {
			break
		}
		r.hand(p, w, &woken)
	}
	if woken.n > 0 {
		r.drain.served(time.Now(), woken.n)
	}
	return woken
}

// hand gives a waiter a slot of p.
func (r *revision) hand(p *pod, w *waiter, woken *waiters) {
	r.dequeue(w)
	w.lease = r.grant(p)
	r.count.Handed++
	woken.push(w)
}

// succeed hands the slot that a request has just left to the oldest waiter, though the pod backs off because it had no room:
// now it has, for one. So a pod that was full for a moment doesn't stand idle, nor is it asked by more than it answers.
func (r *revision) succeed(p *pod, woken *waiters) {
	if !p.Own || !p.listed || p.State != Ready || p.backOff.why != declined || p.Slots > 0 && p.inFlight >= p.Slots {
		return
	}
	if w := r.oldest(); w != nil {
		r.hand(p, w, woken)
		r.drain.served(time.Now(), 1)
	}
}

// hopeless says that waiting leads nowhere.
func (r *revision) hopeless() bool { return r.unavailable != nil && r.count.Ready == 0 }

// failHopeless empties the queue if waiting leads nowhere. Its waiters are to be woken without the lock.
func (r *revision) failHopeless() (failed waiters) {
	if r.hopeless() {
		failed = r.failAll(r.unavailable)
	}
	return failed
}

// failAll empties the queue. Its waiters are to be woken without the lock.
func (r *revision) failAll(err error) (failed waiters) {
	for w := r.oldest(); w != nil; w = r.oldest() {
		r.dequeue(w)
		w.err = err
		failed.push(w)
	}
	return failed
}
