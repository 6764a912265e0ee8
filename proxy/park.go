package proxy

import (
	"context"
	"time"
)

// parked is a Next that waits.
type parked struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	unhook func() bool
	woken  chan struct{} // of Suspend; nil: Next itself waits
}

// park implements Request.Park.
func (ex *exchange) park(t Timeouts) context.Context {
	t.Idle = 0
	ex.clock.start(t, time.Time{})
	if ex.parked != nil {
		return ex.parked.ctx
	}
	ex.watchClient()
	p := new(parked)
	p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(ex.ctx))
	p.unhook = context.AfterFunc(ex.ctx, func() { p.cancel(ex.why()) })
	ex.parked = p
	return p.ctx
}

func (p *parked) end() {
	p.unhook()
	p.cancel(context.Canceled)
}

// suspend implements Request.Suspend; next waits, with the goroutine that there is anyway.
func (ex *exchange) suspend(t Timeouts) (wake func()) {
	ex.park(t)
	woken := make(chan struct{}, 1)
	ex.parked.woken = woken
	return func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
}

// wait is the wait of a Next that has returned Wait.
func (p *parked) wait() (ended error) {
	select {
	case <-p.woken:
	case <-p.ctx.Done():
	}
	return context.Cause(p.ctx)
}
