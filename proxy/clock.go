package proxy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// clock ends an exchange that takes too long. It has one timer, which looks at what has happened meanwhile when it
// fires, so that bytes cost no more than the reading of a clock.
type clock struct {
	ex   *exchange
	last atomic.Int64 // of the last byte in either direction: nanoseconds since Arrived

	mu      sync.Mutex
	t       Timeouts
	from    time.Time
	timer   *time.Timer
	idle    atomic.Bool // t.Idle is set: bytes count
	started bool        // the answer has: ResponseStart counts no more, and a timeout cuts the client off
	held    bool        // a 1xx is being written
	stopped bool
	hijack  func() // ends an upgraded connection
}

// start puts t in force, counted from from or the arrival of the request; Idle counts from now.
func (c *clock) start(t Timeouts, from time.Time) {
	if from.IsZero() {
		from = c.ex.req.Arrived
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t, c.from = t, from
	c.idle.Store(t.Idle > 0)
	c.touch(1)
	c.armLocked()
}

// touch says that n bytes have moved.
func (c *clock) touch(n int) {
	if n > 0 && c.idle.Load() {
		c.last.Store(int64(time.Since(c.ex.req.Arrived)))
	}
}

// due tells what ends the exchange next, and when; nil is nothing.
func (c *clock) due() (at time.Time, why Reason) {
	sooner := func(t time.Time, r Reason) {
		if why == ReasonNone || t.Before(at) {
			at, why = t, r
		}
	}
	if c.t.Total > 0 {
		sooner(c.from.Add(c.t.Total), TimeoutTotal)
	}
	if c.t.ResponseStart > 0 && !c.started {
		sooner(c.from.Add(c.t.ResponseStart), TimeoutStart)
	}
	if c.t.Idle > 0 {
		sooner(c.ex.req.Arrived.Add(time.Duration(c.last.Load())+c.t.Idle), TimeoutIdle)
	}
	return at, why
}

func (c *clock) armLocked() {
	at, why := c.due()
	switch {
	case why == ReasonNone || c.stopped:
		if c.timer != nil {
			c.timer.Stop()
		}
	case c.timer == nil:
		c.timer = time.AfterFunc(time.Until(at), c.fire)
	default:
		c.timer.Reset(time.Until(at))
	}
}

func (c *clock) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	at, why := c.due()
	if why == ReasonNone || time.Now().Before(at) {
		c.armLocked()
		return
	}
	c.stopped = true
	c.ex.cancel(&Error{Reason: why, Text: c.ex.h.cfg.TimeoutText, Err: fmt.Errorf("%s after %v", why, time.Since(c.from).Round(time.Millisecond))})
	switch {
	case c.hijack != nil:
		c.hijack()
	case c.started || c.held: // a client that doesn't read must not hold us
		_ = c.ex.rc.SetWriteDeadline(time.Now().Add(-time.Second))
	}
}

// begin says that the final answer is about to be written; false when it is too late for that.
func (c *clock) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ex.ctx.Err() != nil {
		return false
	}
	c.started = true
	c.touch(1) // the head's bytes
	return true
}

// hold does f, which writes an interim answer, unless it is too late.
func (c *clock) hold(on bool) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if on && c.ex.ctx.Err() != nil {
		return false
	}
	c.held = on
	return true
}

// take makes a timeout call end, which must not block, from now on.
func (c *clock) take(end func()) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hijack = end
	return c.ex.ctx.Err() == nil
}

// stop returns when the clock touches the exchange no more.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
