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
