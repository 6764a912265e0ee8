package queueproxy

import (
	"context"
	"sync"
)

// shared runs a task once for all who wait for it at the same time: it starts with the first, is cancelled when the
// last one leaves, and what it returns is everybody's. Nothing runs while nobody waits.
type shared struct {
	task func(ctx context.Context) bool

	mu      sync.Mutex
	current *sharedRun // nil while nobody waits
	running sync.WaitGroup
}

type sharedRun struct {
	cancel  context.CancelFunc
	waiters int // guarded by shared.mu
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
	s.mu.Unlock()

	select {
	case <-r.done:
		return r.result, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.waiters--; r.waiters == 0 {
		r.cancel()
		s.forgetLocked(r)
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
		s.forgetLocked(r) // who comes from now on wants a newer answer
		s.mu.Unlock()
		close(r.done)
	})
	return r
}

func (s *shared) forgetLocked(r *sharedRun) {
	if s.current == r {
		s.current = nil
	}
}

// close waits for runs that were cancelled. Nobody may wait any more.
func (s *shared) close() { s.running.Wait() }
