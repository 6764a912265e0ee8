package proxy

import (
	"context"
	"runtime"
	"time"
)

// suspendedFlow is a wait from Request.Suspend or Await until Next is called again. In one of Suspend, the connection's
// goroutine waits at first, which costs a short wait least; when the flow turns out to be slow, the goroutine ends.
type suspendedFlow struct {
	f     *flow
	at    Attempt
	begin time.Time
	news  chan struct{} // of one: woken, or slow; nil: the flow was slow before
	await func(ctx context.Context)

	// Under flow.mu.
	woken bool
	out   bool // the connection's goroutine has ended
}

// suspend implements Request.Suspend.
func (f *flow) suspend(t Timeouts) (wake func()) {
	t.Idle = 0
	f.clock.start(t, time.Time{})
	s := &suspendedFlow{f: f, begin: time.Now()}
	f.c.watchEnd() // whoever leaves a queue makes room at once
	f.mu.Lock()
	defer f.mu.Unlock()
	f.suspended, s.woken = s, f.cause != nil
	if f.c.left.Load() {
		f.cancelLocked(errClientGone, true)
	}
	if !f.late && !s.woken {
		s.news = make(chan struct{}, 1)
	}
	return s.wake
}

// await implements Request.Await.
func (f *flow) await(t Timeouts, do func(ctx context.Context)) {
	f.suspend(t)
	f.suspended.await = do
}

// run calls what Request.Await was given, on the connection's goroutine.
func (s *suspendedFlow) run() {
	ctx, end := s.f.wait()
	defer s.f.unwait(end)
	s.await(ctx)
}

// waits blocks until f, which is suspended, has been woken, or is slow: false.
func (s *suspendedFlow) waits() (woken bool) {
	if s.news != nil {
		<-s.news
		// Whoever woke it has an answer to pass on, and others may have more: all of these first, and then all requests that
		// have waited. The app finds some at once then, and needn't be woken for each.
		runtime.Gosched()
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	return s.woken
}

// tell has waits return.
func (s *suspendedFlow) tell() {
	if s == nil || s.news == nil {
		return
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// wake has run called again. It may come late, when f has become another request's.
func (s *suspendedFlow) wake() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.f.suspended == s {
		s.wakeLocked()
	}
}

func (s *suspendedFlow) wakeLocked() {
	if s == nil || s.woken {
		return
	}
	if s.woken = true; s.out {
		go s.f.c.live()
		return
	}
	s.tell()
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
	f.e.stacks.n.Add(1)
	return true
}

// resume ends the wait, and returns why if it ended before its time.
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
