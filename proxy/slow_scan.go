package proxy

import (
	"sync"
	"time"
)

const (
	// slowAfter is the age from which a flow is none of those that end soon, and gets what would cost those too much: a
	// timer, and a watch over its client.
	slowAfter = 20 * time.Millisecond
	// scanTick is how often slow ones are looked for.
	scanTick = 10 * time.Millisecond
	// scanBeyond is for how many ticks that goes on when there is no flow.
	scanBeyond = 50
)

// slowScan finds the flows that are slow: it has all flows in the order of their beginning, and looks at the oldest at each tick.
// So a flow that ends soon pays for two moves in a list, and for no timer.
type slowScan struct {
	mu             sync.Mutex
	oldest, newest *flow
	timer          *time.Timer
	idle           int  // ticks without a flow
	running        bool // the timer is
	closed         bool

	at      *flow     // tick is at it, without mu
	ticking bool      // tick is in progress
	moved   sync.Cond // at or ticking has changed
}

func (r *slowScan) init() { r.moved.L = &r.mu }

// join adds a flow that has just begun.
func (r *slowScan) join(f *flow) {
	r.mu.Lock()
	f.inScan = true
	f.prev, f.next = r.newest, nil
	if r.newest != nil {
		r.newest.next = f
	} else {
		r.oldest = f
	}
	r.newest = f
	if !r.running && !r.closed {
		r.running = true
		if r.timer == nil {
			r.timer = time.AfterFunc(scanTick, r.tick)
		} else {
			r.timer.Reset(scanTick)
		}
	}
	r.mu.Unlock()
}

// leave removes a flow, and reports whether it was still there; otherwise it has been found slow, and been dealt with.
func (r *slowScan) leave(f *flow) bool {
	r.mu.Lock()
	in := f.inScan
	if in {
		r.removeLocked(f)
	}
	for r.at == f {
		r.moved.Wait()
	}
	r.mu.Unlock()
	return in
}

func (r *slowScan) removeLocked(f *flow) {
	f.inScan = false
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		r.oldest = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		r.newest = f.prev
	}
	f.prev, f.next = nil, nil
}

// tick finds the slow ones. What is done about one takes system calls, and there may be thousands: every other flow needs
// the lock to begin and to end, so that it is not held meanwhile. The flow itself can't end before it has been dealt with:
// see leave.
func (r *slowScan) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticking = true
	now := time.Now()
	for f := r.oldest; f != nil && now.Sub(f.req.Arrived) >= slowAfter; f = r.oldest {
		r.removeLocked(f)
		r.at = f
		r.mu.Unlock()
		f.slow()
		r.mu.Lock()
		r.at = nil
		r.moved.Broadcast()
	}
	r.ticking = false
	r.moved.Broadcast()
	if r.idle++; r.oldest != nil {
		r.idle = 0
	}
	if r.running = r.idle < scanBeyond && !r.closed; r.running {
		r.timer.Reset(scanTick)
	}
}

// close ends the scan. No tick is in progress when it returns.
func (r *slowScan) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	for r.ticking {
		r.moved.Wait()
	}
}
