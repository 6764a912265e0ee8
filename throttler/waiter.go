package throttler

import (
	"cmp"
	"net/netip"
	"sync"
	"time"
)

// waiter is a waiting request. It belongs to the goroutine in Acquire, which alone gives it back to the pool; or to a Place,
// which has notify and is not pooled, since Leave may come before notify is called. The lock of the queue guards all fields
// but wake and notify; a waiter that has been taken out of the queue belongs to whoever notifies it, then to its owner.
type waiter struct {
	want
	next, prev *waiter
	in         *waiters      // the list that it is in: it is queued, with neither a lease nor an error
	at         *pod          // whose line that is
	wake       chan struct{} // holds one, so that sending never blocks
	notify     func()        // instead of wake
	since      time.Time
	seq        uint64 // orders two of one age
	bytes      int64
	client     netip.Addr
	lease      Lease
	err        error
}

// want says which pods will do for a request.
type want struct {
	avoid       avoided
	noSpillover bool
	key         *affinity // or nil
	turn        *Turn     // of its key, or nil
}

func (w *waiter) olderThan(o *waiter) bool { return byAge(w, o) < 0 }

// byAge orders the oldest first.
func byAge(w, o *waiter) int {
	if c := w.since.Compare(o.since); c != 0 {
		return c
	}
	return cmp.Compare(w.seq, o.seq)
}

// waiterPool keeps the waiters of requests that block for use again.
type waiterPool struct{ pool sync.Pool }

func (p *waiterPool) get(notify func()) *waiter {
	if notify != nil {
		return &waiter{notify: notify}
	}
	if w, ok := p.pool.Get().(*waiter); ok {
		return w
	}
	return &waiter{wake: make(chan struct{}, 1)}
}

func (p *waiterPool) put(w *waiter) { p.pool.Put(w) }

// waiters is an intrusive list, oldest first: leaving it from the middle costs the same as from an end.
type waiters struct {
	head, tail *waiter
	n          int
}

// push appends w.
func (q *waiters) push(w *waiter) { q.insertAfter(q.tail, w) }

// enter makes w wait in q.
func (q *waiters) enter(w *waiter) {
	w.in = q
	q.insert(w)
}

// insert puts w behind all that are as old or older. It searches from both ends at once: a new request belongs near
// the tail, one that has been in the queue before near the head.
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

// append moves all of o behind those in q.
func (q *waiters) append(o waiters) {
	switch {
	case o.head == nil:
		return
	case q.tail == nil:
		*q = o
		return
	}
	q.tail.next, o.head.prev = o.head, q.tail
	q.tail = o.tail
	q.n += o.n
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
	w.prev, w.next, w.in = nil, nil, nil
	q.n--
}

// notifyAll ends the waits of a list that has been taken out of the queue. It is called without the lock. A waiter may be in
// use again the moment it has been notified, so the next one is read before.
func (q *waiters) notifyAll() {
	for w := q.head; w != nil; {
		next := w.next
		w.next, w.prev = nil, nil
		if w.notify != nil {
			w.notify()
		} else {
			w.wake <- struct{}{}
		}
		w = next
	}
}
