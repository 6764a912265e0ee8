package proxy

import (
	"context"
	"time"
)

// exchangeWait is a wait from Request.Suspend or Await until Next is called again.
type exchangeWait struct {
	woken chan struct{} // of one
	await func(ctx context.Context)
}

// suspend implements Request.Suspend.
func (ex *exchange) suspend(t Timeouts) (wake func()) {
	ex.begin(t)
	woken := make(chan struct{}, 1)
	ex.waits = &exchangeWait{woken: woken}
	return func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
}

// await implements Request.Await.
func (ex *exchange) await(t Timeouts, f func(ctx context.Context)) {
	ex.begin(t)
	ex.waits = &exchangeWait{await: f}
}

// begin puts the timeouts of a wait in force.
func (ex *exchange) begin(t Timeouts) {
	t.Idle = 0
	ex.clock.start(t, time.Time{})
	ex.watchClient()
}

// wait blocks until the wait is over, and returns why if it ended early.
func (w *exchangeWait) wait(ex *exchange) (ended error) {
	if w.await != nil {
		w.run(ex)
	} else {
		select {
		case <-w.woken:
		case <-ex.ctx.Done():
		}
	}
	if e := ex.ended(); e != nil {
		return e
	}
	return nil
}

// run calls what Request.Await was given, with a context whose cause is an *Error: that of ex.ctx may be net/http's.
func (w *exchangeWait) run(ex *exchange) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ex.ctx))
	defer cancel(context.Canceled)
	defer context.AfterFunc(ex.ctx, func() { cancel(ex.why()) })()
	w.await(ctx)
}
