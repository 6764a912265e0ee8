package throttler

import "time"

// queue has the waiting requests of a revision. Those that any pod will do for are in two lists, oldest first, so that a
// request that waits for an own pod does not keep those behind it from another activator's pod. Those that take turns are
// in the line of their key until it is their turn, and then in that of their key's pod.
type queue struct {
	anyPod   waiters
	ownPod   waiters // Demand.NoSpillover
	inTurn   int     // requests that take turns
	fronts   int     // of these, those whose turn it is: in the line of a pod, or homeless
	homeless waiters // that there is no pod for
	lined    []*pod  // those that have a line, or had one
	arrivals uint64
	rate     serviceRate
}

func (q *queue) len() int { return q.anyPod.n + q.ownPod.n + q.inTurn }

// add puts w behind all that are as old or older.
func (q *queue) add(w *waiter) {
	list := &q.anyPod
	if w.noSpillover {
		list = &q.ownPod
	}
	list.enter(w)
}

// number gives w its place among those of its age.
func (q *queue) number(w *waiter, now time.Time) {
	if q.len() == 0 {
		q.rate.begin(now)
	}
	q.arrivals++
	w.seq = q.arrivals
}

// front puts a request whose turn it is into the line of p, or without one among the homeless.
func (q *queue) front(w *waiter, p *pod) {
	q.fronts++
	if p == nil {
		q.homeless.enter(w)
		return
	}
	p.line.enter(w)
	w.at = p
	if !p.lined {
		p.lined = true
		q.lined = append(q.lined, p)
	}
}

// remove takes w out; the caller sees to it that w is notified, or has given up.
func (q *queue) remove(w *waiter) {
	if w.in == &q.homeless || w.at != nil {
		q.fronts--
	}
	w.in.remove(w)
	w.at = nil
}

// oldest is the request that is next of those that any pod will do for, or nil.
func (q *queue) oldest() *waiter { return older(q.anyPod.head, q.ownPod.head) }

// older is the older of two, or that which isn't nil.
func older(a, b *waiter) *waiter {
	if a == nil || b != nil && b.olderThan(a) {
		return b
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
	if p := free.choose(w.want); p != nil {
		return w, p
	}
	if w = q.anyPod.head; w == nil || q.ownPod.head == nil {
		return nil, nil
	}
	return w, free.choose(w.want)
}
