package proxy

import (
	"sync/atomic"
	"time"
)

func (e *Engine) sweepEvery() time.Duration {
	return min(max(min(e.cfg.HeadTimeout, e.cfg.IdleTimeout)/8, 5*time.Millisecond), lookAfter)
}

// lookAfter is when an idle connection's goroutine ends, which also finds an end that has come unseen: see client.step.
const lookAfter = time.Second

// swept ends connections on which nothing comes, or a head too slowly.
func (e *Engine) swept() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.since(time.Now())
	for c := range e.clients {
		c.sweep(now)
	}
	clients := len(e.clients) + len(e.streams)
	if clients > 0 && e.stacks.due() && e.cfg.FreeMemory != nil {
		e.all.Go(e.cfg.FreeMemory)
	}
	e.sweep = nil
	if clients > 0 {
		e.sweep = time.AfterFunc(e.sweepEvery(), e.swept)
	}
}

// interrupt has a read return. It is live that closes: a Close waits for whoever uses the connection.
func (c *client) interrupt() { _ = c.conn.SetReadDeadline(past()) }

// interruptFrom interrupts a connection whose phase changes by that.
func (c *client) interruptFrom(phase, to int32) bool {
	c.interrupting.Lock()
	defer c.interrupting.Unlock()
	if !c.phase.CompareAndSwap(phase, to) {
		return false
	}
	c.interrupt()
	return true
}

// undoInterrupt takes back an interrupt that a request has come before, or that has done its work; but not one of Close.
func (c *client) undoInterrupt() {
	c.interrupting.Lock()
	defer c.interrupting.Unlock()
	_ = c.conn.SetReadDeadline(time.Time{})
	if c.e.closed.Load() {
		c.interrupt()
	}
}

func (c *client) sweep(now int64) {
	age := time.Duration(now - c.since.Load())
	switch c.phase.Load() {
	case clientIdle:
		switch {
		case age > c.e.cfg.IdleTimeout:
			c.interruptFrom(clientIdle, clientClosed)
		case age > lookAfter && c.parks && c.looked.CompareAndSwap(false, true):
			c.interruptFrom(clientIdle, clientParking)
		}
	case clientParked:
		if age > c.e.cfg.IdleTimeout {
			c.wake(clientClosed)
		}
	case clientFresh, clientHead:
		if age > c.e.cfg.HeadTimeout && (c.phase.CompareAndSwap(clientHead, clientLate) || c.phase.CompareAndSwap(clientFresh, clientLate)) {
			c.interrupt()
		}
	}
}

// stacks counts the goroutines that have ended because their connection was parked, or is a shard's. Their stacks stay with the process until
// a collection, and where nothing is allocated that is two minutes away: after many of them, and when no more come, there
// is something to be collected, and for the system to have back at once: of 9000 requests that wait, having come at
// once, that is up to a third.
type stacks struct {
	n      atomic.Int64
	before int64 // n at the last sweep
	freed  int64 // n at the last collection
}

// manyStacks is how many are worth a collection: 4 MiB of stacks or more.
const manyStacks = 1000

// due is asked at each sweep.
func (s *stacks) due() bool {
	n := s.n.Load()
	due := n == s.before && n-s.freed >= manyStacks
	if s.before = n; due {
		s.freed = n
	}
	return due
}
