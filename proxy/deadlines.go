package proxy

import (
	"container/heap"
	"time"
)

// deadlines are those of a shard's calls. A call that ends soon costs no more than a place in a list: only what is older than
// youngFor gets into the heap, by the moment at which something is due.
type deadlines struct {
	s     *shard
	young list[call, *call]
	old   dueHeap
}

// youngFor is also how late a timeout may come, and the end of a client that has closed its half of a connection.
const youngFor = 20 * time.Millisecond

// callTimes is what a call has in it.
type callTimes struct {
	t       Timeouts
	from    time.Time // t counts from here
	last    time.Time // a byte has come or gone
	started bool      // the response has: ResponseStart counts no more
	due     time.Time // in the heap; zero: not in it
	index   int       // there

	links[call] // in young
}

// join begins to look after a call.
func (d *deadlines) join(c *call) {
	c.times = callTimes{}
	d.young.push(c)
	if d.young.first == c {
		d.s.loop.Wake(c.req.Arrived.Add(youngFor))
	}
}

// leave ends that.
func (d *deadlines) leave(c *call) {
	if c.times.in {
		d.young.remove(c)
	} else if !c.times.due.IsZero() {
		heap.Remove(&d.old, c.times.index)
		c.times.due = time.Time{}
	}
}

// set puts t in force, counted from from or the arrival of the request; Idle counts from now.
func (d *deadlines) set(c *call, t Timeouts, from time.Time) {
	if from.IsZero() {
		from = c.req.Arrived
	}
	c.times.t, c.times.from, c.times.started = t, from, false
	c.times.last = d.s.loop.Now()
	if !c.times.in {
		d.place(c)
	}
}

// begun says that the response has.
func (d *deadlines) begun(c *call) { c.times.started = true }

// touch says that bytes have moved.
func (d *deadlines) touch(c *call) { c.times.last = d.s.loop.Now() }

// hurry puts a call into the heap that has something to do before it is old.
func (d *deadlines) hurry(c *call) {
	if c.times.in {
		d.young.remove(c)
	}
	d.place(c)
}

// place puts a call where it belongs in the heap.
func (d *deadlines) place(c *call) {
	at, why := c.nextDeadline()
	switch in := !c.times.due.IsZero(); {
	case why == nil && in:
		heap.Remove(&d.old, c.times.index)
		c.times.due = time.Time{}
	case why == nil:
	case in:
		c.times.due = at
		heap.Fix(&d.old, c.times.index)
	default:
		c.times.due = at
		heap.Push(&d.old, c)
	}
	if len(d.old) > 0 {
		d.s.loop.Wake(d.old[0].times.due)
	}
}

// nextDeadline tells what is due first, if anything, and what happens then.
func (c *call) nextDeadline() (at time.Time, do func(*call)) {
	sooner := func(t time.Time, f func(*call)) {
		if do == nil || t.Before(at) {
			at, do = t, f
		}
	}
	k := &c.times
	if c.client == nil || c.cause != nil && !c.responded {
		return at, nil // it has ended, but for its slot or for what its policy has to say
	}
	if k.t.Total > 0 {
		sooner(k.from.Add(k.t.Total), func(c *call) { c.timedOut(TimeoutTotal, c.times.t.Total) })
	}
	if k.t.ResponseStart > 0 && !k.started {
		sooner(k.from.Add(k.t.ResponseStart), func(c *call) { c.timedOut(TimeoutStart, c.times.t.ResponseStart) })
	}
	if k.t.Idle > 0 {
		sooner(k.last.Add(k.t.Idle), func(c *call) { c.timedOut(TimeoutIdle, c.times.t.Idle) })
	}
	if c.attempt.holding {
		sooner(c.attempt.askBy, func(c *call) { c.askForBody(true) })
	}
	return at, do
}

// tick does what is due.
func (d *deadlines) tick(now time.Time) {
	for c := d.young.first; c != nil && now.Sub(c.req.Arrived) >= youngFor; c = d.young.first {
		d.young.remove(c)
		d.place(c)
	}
	for len(d.old) > 0 && !d.old[0].times.due.After(now) {
		c := d.old[0]
		at, do := c.nextDeadline()
		if do != nil && !at.After(now) {
			d.leave(c)
			do(c)
			if c.x != nil && !c.times.in {
				d.place(c)
			}
			continue
		}
		d.place(c) // bytes have moved meanwhile
	}
	if c := d.young.first; c != nil {
		d.s.loop.Wake(c.req.Arrived.Add(youngFor))
	}
	if len(d.old) > 0 {
		d.s.loop.Wake(d.old[0].times.due)
	}
}

// dueHeap is a container/heap, the first due first.
type dueHeap []*call

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].times.due.Before(h[j].times.due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].times.index, h[j].times.index = i, j
}

func (h *dueHeap) Push(x any) {
	c := x.(*call)
	c.times.index = len(*h)
	*h = append(*h, c)
}

func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return c
}

func (c *call) link() *links[call] { return &c.times.links }
