package queueproxy

import (
	"context"
	"sync"
	"time"
)

// linger is how long a run goes on, and a yes is kept, when nobody waits any more. A prober that gave up asks again
// sooner: an activator after PROBE_FREQUENCY at most, 200 ms.
const linger = time.Second

// shared runs a task once for all who wait for it at the same time: it starts with the first, is cancelled when the
// last one has been gone for linger, and what it returns is everybody's. So a check that takes longer than its probers
// wait ends all the same, and the next of them gets the answer.
type shared struct {
	task func(ctx context.Context) bool

	mu      sync.Mutex
	current *sharedRun // nil: the next who waits starts one
	running sync.WaitGroup
}

type sharedRun struct {
	cancel  context.CancelFunc
	waiters int         // guarded by shared.mu
	idle    *time.Timer // runs while nobody waits; guarded by shared.mu
	done    chan struct{}
	result  bool // set before done is closed
}

// wait blocks until the task has ended, and returns what it did; or until ctx ends, and returns its cause.
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
		s.forgetLocked(r) // who comes from now on wants a newer answer
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
	// Of no waiter's context: the run outlives the first if others have joined.
	ctx, cancel := context.WithCancel(context.Background())
	r := &sharedRun{cancel: cancel, done: make(chan struct{})}
	s.running.Go(func() {
		defer cancel()
		r.result = s.task(ctx)
		s.mu.Lock()
		if r.waiters > 0 || !r.result { // a yes that nobody waits for is for the next
			s.forgetLocked(r)
		}
		s.mu.Unlock()
		close(r.done)
	})
	return r
}

// end cancels r unless somebody has come meanwhile.
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

// close cancels what runs, and waits for it. Nobody may wait any more.
func (s *shared) close() {
	s.mu.Lock()
	if r := s.current; r != nil {
		r.cancel()
		s.forgetLocked(r)
	}
	s.mu.Unlock()
	s.running.Wait()
}
