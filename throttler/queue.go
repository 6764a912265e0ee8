package throttler

import "time"

// queue has the waiting requests of a revision, oldest first. It keeps two lists, so that a request that waits for an own
// pod does not keep those behind it from another activator's pod.
type queue struct {
	anyPod   waiters
	ownPod   waiters // Demand.NoSpillover
	arrivals uint64
	rate     serviceRate
}

func (q *queue) len() int { return q.anyPod.n + q.ownPod.n }

func (q *queue) listOf(w *waiter) *waiters {
	if w.noSpillover {
		return &q.ownPod
	}
	return &q.anyPod
}

// add puts w behind all that are as old or older.
func (q *queue) add(w *waiter, now time.Time) {
	if q.len() == 0 {
		q.rate.begin(now)
	}
	q.arrivals++
	w.seq, w.queued = q.arrivals, true
	q.listOf(w).insert(w)
}

// remove takes w out; the caller sees to it that w is notified, or has given up.
func (q *queue) remove(w *waiter) {
	q.listOf(w).remove(w)
	w.queued = false
}

// oldest is the request that is next, or nil.
func (q *queue) oldest() *waiter {
	a, o := q.anyPod.head, q.ownPod.head
	if a == nil || o != nil && o.olderThan(a) {
		return o
	}
	return a
}

// allYoungerThan says whether there are requests, and all have come after since.
func (q *queue) allYoungerThan(since time.Time) bool {
	w := q.oldest()
	return w != nil && !since.IsZero() && since.Before(w.since)
}

// admits says whether a new request may take a free slot. While a request waits no own slot is free; a spillover slot may
// be, and is given to a new request if no waiting one would take it.
func (q *queue) admits(noSpillover bool) bool {
	return q.anyPod.n == 0 && (q.ownPod.n == 0 || !noSpillover)
}

// next is the oldest request that a pod can be found for, and the pod; nil when there is none.
func (q *queue) next(free *freeSlots) (*waiter, *pod) {
	w := q.oldest()
	if w == nil {
		return nil, nil
	}
	if p := free.choose(w.avoid, w.noSpillover); p != nil {
		return w, p
	}
	if w = q.anyPod.head; w == nil || q.ownPod.head == nil {
		return nil, nil
	}
	return w, free.choose(w.avoid, false)
}
