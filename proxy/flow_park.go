package proxy

import (
	"context"
	"time"
)

// parkedFlow is a Next that waits.
type parkedFlow struct {
	ctx   context.Context
	end   context.CancelCauseFunc
	begin time.Time
}

// park implements Request.Park.
func (f *flow) park(t Timeouts) context.Context {
	t.Idle = 0
	f.clock.start(t, time.Time{})
	if f.parked != nil {
		return f.parked.ctx
	}
	p := &parkedFlow{begin: time.Now()}
	p.ctx, p.end = f.wait()
	f.parked = p
	if f.e.scan.leave(f) {
		f.slow()
	}
	return p.ctx
}

func (f *flow) unpark() {
	f.waited += time.Since(f.parked.begin)
	f.unwait(f.parked.end)
	f.parked = nil
	if f.suspended != nil {
		f.suspended.begin = time.Now() // no moment counts twice
	}
}

// wait makes a context that cancel ends, with its cause.
func (f *flow) wait() (context.Context, context.CancelCauseFunc) {
	ctx, end := context.WithCancelCause(context.Background())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cause != nil {
		end(f.cause)
	}
	f.waits = end
	return ctx, end
}

func (f *flow) unwait(end context.CancelCauseFunc) {
	f.mu.Lock()
	f.waits = nil
	f.mu.Unlock()
	end(context.Canceled)
}
