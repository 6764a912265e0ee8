package queueproxy

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// linger is how long a run continues, and a positive result is kept, without a waiter. A prober that has timed out probes
// again sooner than that: an activator after PROBE_FREQUENCY at most, 200 ms.
const linger = time.Second

// shared runs a task once for all who join it before it has ended. The first starts it, all get its result, and it is
// cancelled when nobody has waited for it for linger. So a check that takes longer than its probers' timeouts still ends,
// and the next prober gets the result.
type shared struct {
	task func(ctx context.Context) bool

	mu      sync.Mutex
	current *sharedRun // nil: the next to join starts one
	running sync.WaitGroup
}

// sharedRun is guarded by shared.mu.
type sharedRun struct {
	cancel  context.CancelFunc
	waiters list.List   // of the func() that wake them; it changes no more when the task has ended
	idle    *time.Timer // runs while there are no waiters
	ended   bool
	result  bool
}

// join waits for the task without blocking: wake is called once when it has ended, maybe before join returns, unless leave has
// been called before. It must not block. leave ends the wait, and returns the result if the task has ended.
func (s *shared) join(wake func()) (leave func() (result, ended bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		s.current = s.start()
	}
	r := s.current
	if r.idle != nil {
		r.idle.Stop()
	}
	if r.ended {
		s.forgetLocked(r) // later ones need a newer result
		wake()
		return func() (result, ended bool) { return r.result, true }
	}
	w := r.waiters.PushBack(wake)
	return func() (result, ended bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.ended {
			return r.result, true
		}
		r.waiters.Remove(w)
		if r.waiters.Len() == 0 && s.current == r {
			r.idle = time.AfterFunc(linger, func() { s.end(r) })
		}
		return false, false
	}
}

// wait blocks until the task has ended and returns its result. If ctx ends before, it returns the cause.
func (s *shared) wait(ctx context.Context) (bool, error) {
	woken := make(chan struct{})
	leave := s.join(func() { close(woken) })
	select {
	case <-woken:
	case <-ctx.Done():
	}
	result, ended := leave()
	if !ended {
		return false, context.Cause(ctx)
	}
	return result, nil
}

func (s *shared) start() *sharedRun {
	// Not a waiter's context: the run outlives the first waiter if others have joined.
	ctx, cancel := context.WithCancel(context.Background())
	r := &sharedRun{cancel: cancel}
	s.running.Go(func() {
		defer cancel()
		result := s.task(ctx)
		s.mu.Lock()
		r.ended, r.result = true, result
		if r.waiters.Len() > 0 || !result { // without waiters a positive result is kept for the next one
			s.forgetLocked(r)
		}
		s.mu.Unlock()
		for w := r.waiters.Front(); w != nil; w = w.Next() {
			w.Value.(func())()
		}
	})
	return r
}

// end cancels r unless it has a waiter again.
func (s *shared) end(r *sharedRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.waiters.Len() == 0 {
		r.cancel()
		s.forgetLocked(r)
	}
}

func (s *shared) forgetLocked(r *sharedRun) {
	if s.current != r {
		return
	}
	s.current = nil
	if r.idle != nil {
		r.idle.Stop()
	}
}

// close cancels the current run and waits for it. Nobody may be waiting.
func (s *shared) close() {
	s.mu.Lock()
	if r := s.current; r != nil {
		r.cancel()
		s.forgetLocked(r)
	}
	s.mu.Unlock()
	s.running.Wait()
}
