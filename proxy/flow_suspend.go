package proxy

import "time"

// suspension is a wait without a goroutine, from Request.Suspend until run is called again.
type suspension struct {
	f     *flow
	at    Attempt
	begin time.Time

	// Under flow.mu.
	woken bool
	out   bool // the connection's goroutine has ended
}

// suspend implements Request.Suspend.
func (f *flow) suspend(t Timeouts) (wake func()) {
	t.Idle = 0
	f.clock.start(t, time.Time{})
	s := &suspension{f: f, begin: time.Now()}
	f.mu.Lock()
	f.suspended, s.woken = s, f.cause != nil
	f.mu.Unlock()
	if f.e.rounds.leave(f) {
		f.slow()
	}
	return s.wake
}

// wake has run called again. It may come late, when f has become another request's.
func (s *suspension) wake() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.f.suspended == s {
		s.wakeLocked()
	}
}

func (s *suspension) wakeLocked() {
	if s == nil || s.woken {
		return
	}
	if s.woken = true; s.out {
		go s.f.c.live()
	}
}

// rests reports that f is suspended, and the connection another goroutine's from now on, once f has been woken.
func (f *flow) rests() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.suspended
	if s == nil || s.woken {
		return false
	}
	s.out = true
	f.e.sleeps.n.Add(1)
	return true
}

// resume is the end of a suspension; before its time it tells why.
func (f *flow) resume() (ended error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waited += time.Since(f.suspended.begin)
	f.suspended = nil
	if f.cause != nil {
		return f.cause
	}
	return nil
}
