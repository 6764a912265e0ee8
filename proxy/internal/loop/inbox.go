package loop

import "sync"

// inbox has what was posted. Its lock is taken last of all.
type inbox struct {
	mu     sync.Mutex
	posted []func()
	spare  []func() // what posted was
	rung   bool     // the poller has been woken, and take hasn't been called since
	closed bool
}

// put adds f, and wakes the poller unless that has been done; false: f came too late.
func (in *inbox) put(f func(), p poller) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.posted = append(in.posted, f)
	in.ringLocked(p)
	return true
}

// ring wakes the poller.
func (in *inbox) ring(p poller) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.closed {
		in.ringLocked(p)
	}
}

func (in *inbox) ringLocked(p poller) {
	if !in.rung {
		in.rung = true
		p.wake()
	}
}

func (in *inbox) take() []func() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.rung = false
	posted := in.posted
	in.posted, in.spare = in.spare, nil
	return posted
}

// giveBack returns what take gave, emptied. One that a storm has made large is left to the collector.
func (in *inbox) giveBack(posted []func()) {
	if cap(posted) <= 1024 {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.spare = posted[:0]
	}
}

// close has what comes from now on rejected. It reports false if that was so already.
func (in *inbox) close() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	was := in.closed
	in.closed = true
	return !was
}
