package proxy

import (
	"context"
	"time"
)

// cancel ends the flow: whatever it hangs in returns. writing: a write to the client too.
func (f *flow) cancel(e *Error, writing bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.c != nil { // it has not ended
		f.cancelLocked(e, writing)
	}
}

func (f *flow) cancelLocked(e *Error, writing bool) {
	if f.cause == nil {
		f.cause = e
		if f.waits != nil {
			f.waits(e)
		}
		f.suspended.wakeLocked()
		if f.upstream != nil {
			_ = f.upstream.SetDeadline(past())
		}
	}
	if writing {
		f.cut = true
		_ = f.c.conn.SetWriteDeadline(past())
	}
}

// wait makes a context that cancel ends, with its cause, until unwait.
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

// past is a deadline that has gone by.
func past() time.Time { return time.Unix(1, 0) }

func (f *flow) timedOut(e *Error, writing bool) { f.cancel(e, writing) }
func (f *flow) clientGone()                     { f.cancel(errClientGone, true) }
func (f *flow) over() bool                      { return f.ended() != nil }

// ended is what has ended the flow, or nil.
func (f *flow) ended() *Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

// attach makes c the upstream's connection that cancel ends; it fails when that has come already.
func (f *flow) attach(c *upstreamConn) *Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cause == nil {
		f.upstream = c
		c.late.Store(f.late)
	}
	return f.cause
}

// detach is the end of attach. It reports that the connection has been left alone.
func (f *flow) detach() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.upstream != nil && f.interrupted {
		_ = f.upstream.SetReadDeadline(time.Time{})
	}
	f.upstream, f.interrupted, f.due = nil, false, false
	return f.cause == nil
}

// interruptLocked has a read from the upstream return, so that the flow looks at what has changed.
func (f *flow) interruptLocked() {
	if f.upstream != nil && f.cause == nil && !f.tunnelled {
		f.interrupted = true
		_ = f.upstream.SetReadDeadline(past())
	}
}

// onlyInterrupted reports that a read from the upstream has returned because of an interrupt, and readies the connection to read on.
func (f *flow) onlyInterrupted() (due, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.interrupted || f.cause != nil || f.upstream == nil {
		return false, false
	}
	f.interrupted, due, f.due = false, f.due, false
	_ = f.upstream.SetReadDeadline(time.Time{})
	return due, true
}

// open ends the watch, since what is upgraded may be closed by halves; a flow that wasn't watched yet won't be.
func (f *flow) open() {
	if f.e.scan.leave(f) {
		f.clock.hurry()
	}
	f.c.unwatch()
}

// tunnel ends the interrupts.
func (f *flow) tunnel() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tunnelled = true
	if f.interrupted && f.cause == nil && f.upstream != nil {
		_ = f.upstream.SetReadDeadline(time.Time{})
	}
}

// slow is called once for a flow that doesn't end soon, by the scan.
func (f *flow) slow() {
	f.clock.hurry()
	if h := f.h; !f.c.watchEnd() && h.cfg.OnUnwatched != nil {
		h.unwatched.Do(h.cfg.OnUnwatched)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = true
	f.suspended.tell()
	if f.c.left.Load() {
		f.cancelLocked(errClientGone, true)
	}
	if f.upstream == nil {
		return
	}
	f.upstream.late.Store(true) // before the look: see upstreamConn.step
	if f.upstream.hasNews() {
		f.interruptLocked()
	}
}

// clientLeft tells f that the client of c has, if f is still its request, and slow, or suspended: see both.
func (f *flow) clientLeft(c *client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.c == c && (f.late || f.suspended != nil) {
		f.cancelLocked(errClientGone, true)
	}
}
