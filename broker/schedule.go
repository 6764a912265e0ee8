package broker

import (
	"container/heap"
	"time"
)

const (
	// mostItems is how many events a trigger knows of at once. Beyond, it reads no more events before it is done with some.
	mostItems = 1 << 16
	// mostQueued is how many numbers of events wait in memory for the event before them that has the same key.
	mostQueued = 1 << 16
)

// item is an event that is known and not done.
type item struct {
	seq    uint64
	key    *keyed   // whose other events wait for this one; nil: none do
	name   string   // of the key
	keyed  bool     // name is one
	failed int      // attempts at the same sink
	dead   *failure // why it goes to the dead letter sink; nil: it goes to the subscriber
	due    time.Time
	record *record // nil: has to be read again
	plan   *plan   // of the trigger when the item was taken
}

// retries tells whether an attempt at the event has failed before.
func (it *item) retries() bool { return it.failed > 0 || it.dead != nil }

// keyed is a key with events that are not done. At most one of its events is an item, ready, in flight or waiting.
type keyed struct {
	name     string
	busy     bool     // one is an item
	queue    []uint64 // those behind it
	more     uint64   // the first one that is in neither, and in the log only; 0: there is none
	scanning bool     // the log is being searched for those from more on
}

// schedule is which events of a trigger are known, and when they are due. For a key that is blocked it keeps the numbers of a part of the
// events behind, and for the rest of them the first number, from which on the log has to be searched when the key goes on.
//
//	          ┌──────────── retry ◄───────────┐
//	admit ─► ready ──take──► in flight ───► finished: done, next of the key ─► ready
//	    └──► behind another one of the same key ──────────────────┘
//
// Retries that are due have a queue of their own, so that they leave room for events that were not tried yet.
//
// It has no lock: its owner's guards it.
type schedule struct {
	ready   fifo // not tried yet
	retries fifo // due
	waiting itemHeap
	keys    map[string]*keyed
	queued  int // numbers in all queues
	items   int // ready, waiting, and in flight
	hungry  []*keyed
}

func newSchedule() schedule { return schedule{keys: map[string]*keyed{}} }

// full tells whether no more events may be admitted.
func (s *schedule) full() bool { return s.items+len(s.hungry) >= mostItems }

// admit takes an event that comes after all that were admitted. Name is its key, if it is keyed.
func (s *schedule) admit(seq uint64, name string, isKeyed bool, r *record) {
	if !isKeyed {
		s.add(&item{seq: seq, record: r})
		return
	}
	k := s.keys[name]
	switch {
	case k == nil:
		k = &keyed{name: name}
		s.keys[name] = k
		s.begin(k, seq, r)
	case k.more != 0: // found again by a search
	case len(k.queue) < s.room():
		k.queue = append(k.queue, seq)
		s.queued++
	default:
		k.more = seq
	}
}

// room is how long a key's queue may be: a part of what is free, so that the queues of blocked keys leave room for other keys
// (Choudhury, Hahne: Dynamic Queue Length Thresholds, 1998).
func (s *schedule) room() int { return (mostQueued - s.queued) / 16 }

func (s *schedule) begin(k *keyed, seq uint64, r *record) {
	k.busy = true
	s.add(&item{seq: seq, key: k, name: k.name, keyed: true, record: r})
}

func (s *schedule) add(it *item) {
	s.items++
	s.ready.push(it)
}

// take returns the next ready item, or nil: a retry first, if one may be taken.
func (s *schedule) take(retry bool) *item {
	if retry {
		if it := s.retries.pop(); it != nil {
			return it
		}
	}
	return s.ready.pop()
}

// retry has an item that was taken wait until it is due. It forgets the event, to be read again.
func (s *schedule) retry(it *item, due time.Time) {
	it.due, it.record = due, nil
	heap.Push(&s.waiting, it)
}

// again has an item that was taken ready at once.
func (s *schedule) again(it *item) { s.retries.push(it) }

// release makes items ready that are due, and returns when the next one is. Zero: there is none.
func (s *schedule) release(now time.Time) (next time.Time) {
	for len(s.waiting) > 0 {
		if s.waiting[0].due.After(now) {
			return s.waiting[0].due
		}
		s.retries.push(heap.Pop(&s.waiting).(*item))
	}
	return time.Time{}
}

// done ends an item that was taken.
func (s *schedule) done(it *item) {
	s.items--
	s.detach(it)
}

// detach lets the next event of the item's key go on.
func (s *schedule) detach(it *item) {
	k := it.key
	if k == nil {
		return
	}
	it.key = nil
	k.busy = false
	switch {
	case len(k.queue) > 0:
		seq := k.queue[0]
		k.queue = k.queue[1:]
		s.queued--
		s.begin(k, seq, nil)
	case k.more == 0:
		delete(s.keys, k.name)
	case !k.scanning:
		s.hungry = append(s.hungry, k)
	}
}

// search returns the keys whose next events are in the log only, and the first number from which on it has to be searched for them. The caller
// calls found for their events from keyed.more on, in order, and then searched.
func (s *schedule) search() (keys map[string]*keyed, from uint64) {
	keys = make(map[string]*keyed, len(s.hungry))
	for _, k := range s.hungry {
		if from == 0 || k.more < from {
			from = k.more
		}
		k.scanning = true
		keys[k.name] = k
	}
	s.hungry = nil
	return keys, from
}

// found takes an event of a key that is searched for. It is false when the key has enough for now, and its search is over.
func (s *schedule) found(k *keyed, seq uint64) bool {
	switch {
	case !k.busy:
		s.begin(k, seq, nil)
	case len(k.queue) < max(s.room(), 1):
		k.queue = append(k.queue, seq)
		s.queued++
	default:
		k.more = seq
		k.scanning = false
		return false
	}
	return true
}

// searched says that a key has no events besides those that were found.
func (s *schedule) searched(k *keyed) {
	k.more, k.scanning = 0, false
	if !k.busy {
		delete(s.keys, k.name)
	}
}

// fifo is a queue.
type fifo struct {
	items []*item
	head  int
}

func (f *fifo) push(it *item) { f.items = append(f.items, it) }

func (f *fifo) pop() *item {
	if f.head == len(f.items) {
		return nil
	}
	it := f.items[f.head]
	f.items[f.head] = nil
	if f.head++; f.head == len(f.items) {
		f.items, f.head = f.items[:0], 0
	} else if f.head >= 1024 && f.head*2 >= len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return it
}

func (f *fifo) empty() bool { return f.head == len(f.items) }

// itemHeap is ordered by when items are due.
type itemHeap []*item

func (h itemHeap) Len() int           { return len(h) }
func (h itemHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h itemHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *itemHeap) Push(x any)        { *h = append(*h, x.(*item)) }
func (h *itemHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}
