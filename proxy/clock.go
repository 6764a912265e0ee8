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
	owner   timed
	text    string // of a timeout's answer
	arrived time.Time
	last    atomic.Int64 // of the last byte in either direction: nanoseconds since arrived

	mu      sync.Mutex
	t       Timeouts
	from    time.Time
	timer   *time.Timer
	idle    atomic.Bool // t.Idle is set: bytes count
	started bool        // the answer has: a timeout cuts the client off, and ResponseStart counts no more, save for a 101
	spoken  atomic.Bool // a byte has come behind a 101: ResponseStart counts no more
	held    bool        // a 1xx is being written
	stopped bool
	patient bool   // the timer isn't set before hurry
	hijack  func() // ends an upgraded connection
}

// timed is whose clock it is.
type timed interface {
	// timedOut ends it; writing: also if it hangs in a write to the client. It must not block, nor call the clock.
	timedOut(e *Error, writing bool)
	// over reports that it has been ended.
	over() bool
}

func (c *clock) init(owner timed, text string, arrived time.Time) {
	c.owner, c.text, c.arrived = owner, text, arrived
}

// reset makes the clock ready for another exchange after stop. It is patient: what ends soon needs no timer.
func (c *clock) reset(arrived time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived, c.t, c.from, c.hijack = arrived, Timeouts{}, time.Time{}, nil
	c.started, c.held, c.stopped, c.patient = false, false, false, true
	c.idle.Store(false)
	c.spoken.Store(false)
}

// hurry ends the patience: the exchange is none of those that end soon.
func (c *clock) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patient = false
	c.armLocked()
}

// start puts t in force, counted from from or the arrival of the request; Idle counts from now.
func (c *clock) start(t Timeouts, from time.Time) {
	if from.IsZero() {
		from = c.arrived
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
		c.last.Store(int64(time.Since(c.arrived)))
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
	if c.t.ResponseStart > 0 && (!c.started || c.hijack != nil && !c.spoken.Load()) {
		sooner(c.from.Add(c.t.ResponseStart), TimeoutStart)
	}
	if c.t.Idle > 0 {
		sooner(c.arrived.Add(time.Duration(c.last.Load())+c.t.Idle), TimeoutIdle)
	}
	return at, why
}

func (c *clock) armLocked() {
	at, why := c.due()
	switch {
	case why == ReasonNone || c.stopped || c.patient:
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
	c.endLocked(&Error{Reason: why, Text: c.text, Err: fmt.Errorf("%s after %v", why, time.Since(c.from).Round(time.Millisecond))})
}

// end ends the exchange as a timeout does, now and because of e.
func (c *clock) end(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.endLocked(e)
	}
}

func (c *clock) endLocked(e *Error) {
	c.stopped = true
	c.owner.timedOut(e, c.hijack == nil && (c.started || c.held)) // a client that doesn't read must not hold us
	if c.hijack != nil {
		c.hijack()
	}
}

// begin says that the final answer is about to be written; false when it is too late for that.
func (c *clock) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner.over() {
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
	if on && c.owner.over() {
		return false
	}
	c.held = on
	return true
}

// take makes a timeout call end, which must not block, from now on. The answer is a 101: Knative's response start timeout
// runs on until the upgraded connection's first byte from the upstream, which speak tells.
func (c *clock) take(end func()) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hijack = end
	c.armLocked()
	return !c.owner.over()
}

// speak says that the upstream has sent something on the upgraded connection.
func (c *clock) speak() { c.spoken.Store(true) }

// stop returns when the clock touches the exchange no more.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
