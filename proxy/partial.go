package proxy

import (
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h2"
)

// partial is what has come of a head, or of another frame, whose rest is to come on a connection of HTTP/2; or there are no SETTINGS
// yet. ServerConfig.HeadTimeout bounds for how long.
type partial struct {
	since  time.Time // zero: there is nothing
	size   int64     // which the connection knows to be held
	look   time.Time
	listed bool // in shard.partials
}

// unfinished takes note of what is left when n bytes have been taken, and rest not.
func (c *clientConn) unfinished(n, rest int) {
	p, block := &c.partial, c.h2.Unfinished()
	size := int64(c.h2.Partial() + rest)
	if size != p.size {
		if !c.hold(size - p.size) {
			c.s.e.tellFull(c.remote)
			c.close(h2.EnhanceYourCalm)
			return
		}
		p.size = size
	}
	switch {
	case !block && (rest == 0 || c.h2.Blocked()):
		p.since = time.Time{}
	case p.since.IsZero() || n > 0 && !block: // another frame than before
		p.since = c.s.loop.Now()
		if !p.listed {
			p.listed = true
			c.lookAt(p.since)
		}
	}
}

// lookAt has closeLate look at the connection when what has begun at since is late.
func (c *clientConn) lookAt(since time.Time) {
	c.partial.look = since.Add(c.s.e.cfg.HeadTimeout)
	c.s.partials = append(c.s.partials, c)
	c.s.loop.Wake(c.s.partials[0].partial.look)
}

// closeLate ends the connections whose head takes too long: up to twice as long if there was another when it was listed.
func (s *shard) closeLate(now time.Time) {
	for len(s.partials) > 0 && !now.Before(s.partials[0].partial.look) {
		c := s.partials[0]
		s.partials[0] = nil
		s.partials = s.partials[1:]
		switch p := &c.partial; {
		case c.closed || p.since.IsZero():
			p.listed = false
		case now.Sub(p.since) >= s.e.cfg.HeadTimeout:
			if f := s.e.cfg.OnRejected; f != nil {
				f(c.remote, headTimeout.with(" within %v", s.e.cfg.HeadTimeout))
			}
			c.close(h2.EnhanceYourCalm)
		default:
			c.lookAt(now)
		}
	}
	if len(s.partials) > 0 {
		s.loop.Wake(s.partials[0].partial.look)
	}
}
