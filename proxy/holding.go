package proxy

import "github.com/sluice-proxy/sluice/proxy/internal/h2"

// holding is the memory that the requests of one connection of HTTP/2 have us hold: their heads, and what waits of bodies in both
// directions. What is beyond holdStep is taken of a bound that all connections share.
type holding struct{ used, taken int64 }

const (
	// holdStep is what a connection may hold beside the bound, and the steps in which it takes of that, so that few requests do.
	holdStep = 64 << 10
	// perCall is what a request takes besides, about.
	perCall = 1 << 10
)

// hold takes n bytes more, or fewer. It reports false, and takes nothing, if there is no room for them.
func (c *clientConn) hold(n int64) bool {
	h, bound := &c.holding, c.s.e.held
	h.used += n
	over := max(h.used-holdStep, 0)
	for n > 0 && h.taken < over {
		if !bound.TakeFor(c.payer, holdStep) {
			c.hold(-n)
			return false
		}
		h.taken += holdStep
	}
	if spare := h.taken - over; spare >= 2*holdStep || over == 0 && spare > 0 {
		spare -= spare % holdStep
		bound.GiveFor(c.payer, spare)
		h.taken -= spare
	}
	return true
}

// account says what a call holds now; false: there is no room for that.
func (c *call) account() bool {
	conn := c.stream.c
	if conn == nil {
		return true
	}
	now := c.headSize + int64(c.up.memory()+c.down.memory())
	if now == c.holds {
		return true
	}
	if !conn.hold(now - c.holds) {
		return false
	}
	c.holds = now
	return true
}

// bounded ends a call that holds more than there is room for.
func (c *call) bounded() {
	if !c.account() {
		c.s.e.tellFull(c.remote)
		c.end(&Error{Reason: Busy, Err: c.s.e.noSpace()})
	}
}

func (e *Engine) noSpace() *Error {
	return noSpace.with(": of %d bytes, the limit max-held-bytes, none are free that this client may have", e.held.Limit())
}

func (e *Engine) tellFull(remote string) {
	if e.cfg.OnRejected != nil {
		e.cfg.OnRejected(remote, e.noSpace())
	}
}

// firstWindow is what a stream may send ahead of what has gone on, at first. While what it sends goes on at once that grows, to what
// its round trips need, so that who stalls holds little.
const firstWindow = 64 << 10

// window is that of a stream.
type window struct{ size, passed int }

// passes notes that n bytes have gone on, and held wait.
func (w *window) passes(s *h2.Stream, n, held, most int) {
	s.Credit(n)
	w.size = max(w.size, min(firstWindow, most))
	w.passed += n
	if w.passed < w.size || held > 0 || w.size >= most {
		return
	}
	more := min(w.size, most-w.size)
	s.Widen(more)
	w.size, w.passed = w.size+more, 0
}
