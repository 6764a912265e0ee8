package proxy

import (
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// step is one go at reading, inside RawConn.Read; false asks to be called again when there is more. Everything that
// happens to a request which has come in full happens in here, so that no edge of the socket's is lost between one
// read and the next. A read that leaves room has taken everything, and none is made to be told so; only an end that
// came together with bytes stays unseen by that, until sweep looks. So all is read where nothing would look for long: in
// the middle of a head, which an end makes hopeless. And at first, when what is there may be older than the wait.
func (c *client) step(fd uintptr) (done bool) {
	c.fd = fd
	defer c.leaveStep()
	for more := true; more; {
		p := c.in.space()
		n, wait, err := netio.Read(fd, p)
		if wait {
			c.entered = false
			c.in.rest()
			return false
		}
		if err != nil {
			return true
		}
		c.in.added(n)
		more = n == len(p) || c.entered || !c.served
		if c.advance() {
			return true
		}
		more = more || c.in.len() > 0
	}
	return false
}

func (c *client) leaveStep() { c.fd = noSocket }

// noSocket is no descriptor.
const noSocket = ^uintptr(0)

// write writes to the client.
func (c *client) write(b []byte) error {
	if c.fd != noSocket {
		if b = b[netio.Write(c.fd, b):]; len(b) == 0 {
			return nil
		}
	}
	_, err := c.conn.Write(b)
	return err
}

// advance makes what it can of the bytes that are there. True: there is something for live to do.
func (c *client) advance() bool {
	for c.in.len() > 0 {
		end, ok := c.headEnd()
		if !ok {
			return true
		}
		if c.in.len() == 0 {
			break // that was an empty line
		}
		if end == 0 {
			if !c.phase.CompareAndSwap(clientFresh, clientHead) && c.phase.CompareAndSwap(clientIdle, clientHead) {
				c.since.Store(c.e.since(time.Now()))
			}
			c.e.unfinished.hold(c, int64(len(c.in.buf)))
			return false
		}
		f := c.begin(end)
		if f == nil {
			return true
		}
		if !f.up.body.Done() || f.req.Upgrade != "" {
			c.next = f
			return true
		}
		c.carry(f)
		if c.done || c.handed != nil || c.next != nil {
			return true
		}
	}
	c.in.rest()
	return false
}

// headEnd looks for the end of the next head; 0 is not yet. It fails on what can't become one, or is no HTTP/1.1.
func (c *client) headEnd() (end int, ok bool) {
	b := c.in.bytes()
	if c.scanned == 0 && c.served && b[0] == '\r' { // RFC 9112 §2.2: an empty line before a request is ignored
		if len(b) == 1 {
			return 0, true
		}
		if b[1] == '\n' {
			c.in.skip(2)
			if b = b[2:]; len(b) == 0 {
				return 0, true
			}
		}
	}
	if b[0] == 'P' && !c.served && string(b[:min(len(b), len(preface))]) == preface[:min(len(b), len(preface))] {
		if len(b) < len(preface) {
			return 0, true
		}
		c.handed = &replayed{Conn: c.conn, prefix: append([]byte(nil), b...)}
		c.in.drop()
		return 0, false
	}
	end, next, err := h1.HeadEnd(b, c.scanned, false)
	c.scanned = next
	switch {
	case err != nil:
		c.refuseWith(err)
	case next == 0 && len(b) > min(c.e.cfg.MaxTarget+besideTarget, c.e.cfg.MaxHead):
		c.refuseWith(c.e.cfg.exceeded(h1.ErrLineTooLong))
	case end > c.e.cfg.MaxHead, end == 0 && len(b) > c.e.cfg.MaxHead:
		c.refuseWith(c.e.cfg.exceeded(h1.ErrHeadTooLarge))
	default:
		return end, true
	}
	return 0, false
}

// begin makes a flow of the head that ends at end; nil when it is refused.
func (c *client) begin(end int) *flow {
	switch c.phase.Swap(clientActive) {
	case clientClosed:
		c.done = true
		return nil
	case clientParking, clientShed:
		c.undoInterrupt()
	}
	c.e.unfinished.drop(c)
	f := c.e.flow()
	err := f.head.Parse(c.e.heads.text(c.in.bytes()[:end]), c.e.cfg.MaxFields)
	if err == h1.ErrFields {
		err = c.e.cfg.exceeded(h1.ErrFields)
	}
	if err == nil && (len(f.head.Target) > c.e.cfg.MaxTarget || len(f.head.Method) > besideTarget) {
		err = c.e.cfg.exceeded(h1.ErrLineTooLong)
	}
	c.scanned, c.served = 0, true
	c.in.skip(end)
	if err == nil {
		err = f.begin(c, time.Now())
	}
	if err != nil {
		c.e.keepFlow(f)
		c.refuseWith(err)
		return nil
	}
	return f
}
