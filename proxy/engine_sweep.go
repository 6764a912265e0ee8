package proxy

import (
	"time"
)

func (e *Engine) sweepEvery() time.Duration {
	return min(max(min(e.cfg.HeadTimeout, e.cfg.IdleTimeout)/8, 5*time.Millisecond), lookAfter)
}

// lookAfter is when an idle connection is looked at: see client.step.
const lookAfter = time.Second

// left looks whether the client's end has come unseen.
func (c *client) left() bool {
	n, err := peek(c.sock, make([]byte, 1))
	return n == 0 || err != nil
}

// swept ends connections on which nothing comes, or a head too slowly.
func (e *Engine) swept() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.since(time.Now())
	for c := range e.clients {
		c.sweep(now)
	}
	e.sweep = nil
	if len(e.clients) > 0 {
		e.sweep = time.AfterFunc(e.sweepEvery(), e.swept)
	}
}

// wake has a read return. It is live that closes: a Close waits for whoever uses the connection.
func (c *client) wake() { _ = c.conn.SetReadDeadline(past()) }

// wakeFrom wakes a connection whose phase changes by that.
func (c *client) wakeFrom(phase, to int32) {
	c.waking.Lock()
	defer c.waking.Unlock()
	if c.phase.CompareAndSwap(phase, to) {
		c.wake()
	}
}

// unwake takes back a wake that a request has come before, or that has done its work.
func (c *client) unwake() {
	c.waking.Lock()
	defer c.waking.Unlock()
	_ = c.conn.SetReadDeadline(time.Time{})
}

func (c *client) sweep(now int64) {
	age := time.Duration(now - c.since.Load())
	switch c.phase.Load() {
	case clientIdle:
		switch {
		case age > c.e.cfg.IdleTimeout:
			c.wakeFrom(clientIdle, clientClosed)
		case age > lookAfter && c.direct && c.looked.CompareAndSwap(false, true):
			if c.left() {
				c.wakeFrom(clientIdle, clientClosed)
			} else {
				c.wakeFrom(clientIdle, clientRenewed)
			}
		}
	case clientFresh, clientHead:
		if age > c.e.cfg.HeadTimeout && (c.phase.CompareAndSwap(clientHead, clientLate) || c.phase.CompareAndSwap(clientFresh, clientLate)) {
			c.wake()
		}
	}
}
