package proxy

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

func (c *client) refuseWith(err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Reason: BadRequest, Status: RejectionOf(err).Status(), Err: err}
	}
	c.refused = e
}

// refuse answers what is no request, and ends the connection.
func (c *client) refuse() {
	c.done, c.linger = true, true
	_ = c.conn.SetDeadline(time.Now().Add(afterAnswer))
	if !errors.Is(c.refused, h1.ErrNotHTTP) { // it may be HTTP/2 with an invalid preface; no answer would be understood (RFC 9113 §3.4)
		_, _ = c.conn.Write(c.e.h.refusal(c.refused)) // a client that has gone needs none
	}
	if c.e.cfg.OnRejected != nil {
		c.e.cfg.OnRejected(c.remote, c.refused)
	}
}

// ended is the end of the client's bytes, or of the patience with it.
func (c *client) ended(err error) {
	c.done = true
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	phase := c.phase.Load()
	if phase == clientShed {
		c.in.drop()
		c.refused = c.e.unfinished.errShed()
		c.refuse()
		c.linger = false // there are many of these
		return
	}
	if phase != clientLate || c.in.len() == 0 {
		return
	}
	c.refused = headTimeout.with(" within %v", c.e.cfg.HeadTimeout)
	c.refuse()
}

// end closes the connection, unless it is somebody else's.
func (c *client) end() {
	c.in.drop()
	c.e.unfinished.drop(c)
	if c.handed != nil {
		c.unwatch()
		c.phase.Store(clientActive)
		if c.handed.request == nil {
			c.e.serveHTTP2(c)
		} else {
			c.e.handOff(c) // while Shutdown counts it among its clients
		}
		c.e.forget(c)
		return
	}
	c.e.h.watch.forget(c.watched)
	if t, ok := socketOf(c.conn).(*net.TCPConn); ok && c.abort {
		_ = t.SetLinger(0)
	}
	if c.linger && !c.gone && !c.abort && !c.e.closed.Load() {
		c.lingering()
	}
	c.conn.Close()
}

// lingering ends the connection by halves: what the client still sends is read and thrown away, so that no reset overtakes the
// answer (RFC 9112 §9.6), which some clients read only when they have sent everything. That ends with the client's half,
// with its silence for afterAnswer, and after lingerMost; and in a Shutdown, for which afterAnswer is enough.
func (c *client) lingering() {
	w, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	buf := scratch{h: c.e.h} // small at first: there may be many who are refused
	defer buf.free()
	n, closing, now := 0, false, time.Now()
	for end := now.Add(lingerMost); now.Before(end); now = time.Now() {
		silent := now.Add(afterAnswer)
		if !closing && c.e.closing.Load() {
			closing, end = true, earlier(end, silent)
		}
		_ = c.conn.SetReadDeadline(earlier(end, silent))
		if c.e.closed.Load() { // after the deadline, which Close may have set before
			return
		}
		var err error
		if n, err = c.conn.Read(buf.next(n)); err != nil {
			return
		}
	}
}

// lingerMost is nginx's lingering_time: 100 MB at 27 Mbit/s. Nothing but the connection is held meanwhile.
const lingerMost = 30 * time.Second

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
