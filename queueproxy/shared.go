package queueproxy

import (
	"context"
	"sync"
	"time"
)

// linger is how long a run continues, and a positive result is kept, without a waiter. A prober that has timed out probes
// again sooner than that: an activator after PROBE_FREQUENCY at most, 200 ms.
const linger = time.Second

// shared runs a task once for all callers of wait that overlap. The first starts it, all get its result, and it is
// cancelled when it has had no waiter for linger. So a check that takes longer than its probers' timeouts still ends, and
// the next prober gets the result.
type shared struct {
	task func(ctx context.Context) bool

	mu      sync.Mutex
	current *sharedRun // nil: the next call of wait starts one
	running sync.WaitGroup
}

type sharedRun struct {
	cancel  context.CancelFunc
	waiters int         // guarded by shared.mu
	idle    *time.Timer // runs while there are no waiters; guarded by shared.mu
	done    chan struct{}
	result  bool // set before done is closed
}

// wait blocks until the task has ended and returns its result. If ctx ends before, it returns the cause.
func (s *shared) wait(ctx context.Context) (bool, error) {
	s.mu.Lock()
	if s.current == nil {
		s.current = s.start()
	}
	r := s.current
	r.waiters++
	if r.idle != nil {
		r.idle.Stop()
	}
	s.mu.Unlock()

	select {
	case <-r.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forgetLocked(r) // later callers need a newer result
		return r.result, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.waiters--; r.waiters == 0 && s.current == r {
		r.idle = time.AfterFunc(linger, func() { s.end(r) })
	}
	return false, context.Cause(ctx)
}

func (s *shared) start() *sharedRun {
	// Not a waiter's context: the run outlives the first waiter if others have joined.
	ctx, cancel := context.WithCancel(context.Background())
	r := &sharedRun{cancel: cancel, done: make(chan struct{})}
	s.running.Go(func() {
		defer cancel()
		r.result = s.task(ctx)
		s.mu.Lock()
		if r.waiters > 0 || !r.result { // without waiters a positive result is kept for the next caller
			s.forgetLocked(r)
		}
		s.mu.Unlock()
		close(r.done)
	})
	return r
}

// end cancels r unless it has a waiter again.
func (s *shared) end(r *sharedRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.waiters == 0 {
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

// close cancels the current run and waits for it. No wait may be under way.
func (s *shared) close() {
	s.mu.Lock()
	if r := s.current; r != nil {
		r.cancel()
		s.forgetLocked(r)
	}
	s.mu.Unlock()
	s.running.Wait()
}
