package throttler

import (
	"net/netip"
	"time"
)

// waiter is a request in a queue. Its owner is the goroutine in Acquire, which alone gives it back to the pool; or a Place,
// which has tell called, and is not pooled, since Leave may come before that. All fields but wake and tell are guarded by
// the queue's lock until wake has been written.
type waiter struct {
	next, prev  *waiter
	queued      bool          // in the queue, neither granted nor failed
	wake        chan struct{} // holds one, so that waking never blocks
	tell        func()        // instead of wake
	since       time.Time
	seq         uint64 // decides between two of one age
	bytes       int64
	client      netip.Addr
	not         avoided
	noSpillover bool
	lease       Lease
	err         error
}

func newWaiter() any { return &waiter{wake: make(chan struct{}, 1)} }

// waiters is an intrusive list, oldest first: leaving it from the middle costs the same as from an end.
type waiters struct {
	head, tail *waiter
	n          int
}

func (w *waiter) olderThan(o *waiter) bool {
	if w.since.Equal(o.since) {
		return w.seq < o.seq
	}
	return w.since.Before(o.since)
}

// push appends w.
func (q *waiters) push(w *waiter) { q.insertAfter(q.tail, w) }

// insert puts w behind all that are as old or older. It searches from both ends at once: a newcomer belongs near
// the tail, a request that has been in the queue before near the head.
func (q *waiters) insert(w *waiter) {
	older, younger := q.head, q.tail
	for {
		if younger == nil || !younger.since.After(w.since) {
			q.insertAfter(younger, w)
			return
		}
		if older.since.After(w.since) {
			q.insertAfter(older.prev, w)
			return
		}
		older, younger = older.next, younger.prev
	}
}

// insertAfter puts w behind p, or at the head when p is nil.
func (q *waiters) insertAfter(p, w *waiter) {
	next := q.head
	if p != nil {
		next = p.next
		p.next = w
	} else {
		q.head = w
	}
	if next != nil {
		next.prev = w
	} else {
		q.tail = w
	}
	w.prev, w.next = p, next
	q.n++
}

func (q *waiters) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.tail = w.prev
	}
	w.prev, w.next = nil, nil
	q.n--
}

// wakeAll wakes a list that has been cut off from its queue. It is called without the lock. A waiter may be in use
// again the moment it has been woken, so the next one is read before.
func (q *waiters) wakeAll() {
	for w := q.head; w != nil; {
		next := w.next
		w.next, w.prev = nil, nil
		if w.tell != nil {
			w.tell()
		} else {
			w.wake <- struct{}{}
		}
		w = next
	}
}
