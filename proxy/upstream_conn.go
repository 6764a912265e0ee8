package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// upstreamConn is an Engine's connection to an upstream, HTTP/1.1 on it. It belongs to one flow or to the pool.
type upstreamConn struct {
	net.Conn
	sock  syscall.RawConn // of the socket; nil when there is none
	plain bool            // Conn is the socket: no TLS, nor a type of Config.Dial's own

	in       readBuffer
	scanned  int    // of in, for the end of a head
	end      int    // of the head in in; 0: not known
	out      []byte // to be written before anything is read
	buffers  *sync.Pool
	borrowed *[copyBuffer]byte // what out is in; or what has been read into
	got      int               // bytes in it, from chunkRoom on
	wrote    int64             // bytes, by the request in progress
	late     atomic.Bool       // the scan has found its flow, and won't again
	failed   error             // what ended the reading of a head
	stepper  func(fd uintptr) bool
	reader   func(fd uintptr) bool
	peeker   func(fd uintptr)
	peeked   int
	peekErr  error
	byte     [1]byte
	heads    *headCache

	idle[upstreamConn]
}

// step is one go at a round trip: what there is to write, and then what there is to read, up to the end of a head. It
// runs inside RawConn.Read, and asks with false to be called again when there is more. After a write nothing can be
// there yet, so that no read is wasted on it; should that be wrong, the flow is looked after within tens of milliseconds
// (see slowScan), and one for which that is over reads. What comes from now on, within RawConn.Read, is never lost.
func (c *upstreamConn) step(fd uintptr) (done bool) {
	if c.out != nil {
		n := netio.Write(fd, c.out)
		c.wrote += int64(n)
		c.out = c.out[n:]
		sent := len(c.out) == 0 || c.write()
		c.written()
		if sent && !c.late.Load() {
			return false
		}
	}
	for {
		n, wait, err := netio.Read(fd, c.in.space())
		if wait {
			c.in.rest()
			return false
		}
		if c.failed = err; err != nil {
			return true
		}
		c.in.added(n)
		if c.found() {
			return true
		}
	}
}

// write sends out; false when it can't, so that the upstream has ended, perhaps after an answer.
func (c *upstreamConn) write() bool {
	n, err := c.Conn.Write(c.out)
	c.wrote += int64(n)
	c.out = nil
	return err == nil
}

// versions is how answers begin that are understood.
const versions = "HTTP/1."

// found looks for the end of a head; a head that is too large counts, as failed.
func (c *upstreamConn) found() bool {
	b := c.in.bytes()
	end, next, err := h1.HeadEnd(b, c.scanned, true)
	c.end, c.scanned = end, next
	if string(b[:min(len(b), len(versions))]) != versions[:min(len(b), len(versions))] {
		err = h1.ErrStatusLine // perhaps no HTTP at all: its head might never end
	}
	if err == nil && end == 0 && c.in.len() > maxAnswer {
		err = h1.ErrHeadTooLarge
	}
	c.failed = err
	return end > 0 || err != nil
}

// written gives back what out was in.
func (c *upstreamConn) written() {
	c.out = nil
	if c.borrowed != nil {
		c.buffers.Put(c.borrowed)
		c.borrowed = nil
	}
}

// more reads some bytes and returns the buffer in which they lie, from chunkRoom on; none is held while there are no
// bytes. The caller gives it back.
func (c *upstreamConn) more() (buf *[copyBuffer]byte, n int, err error) {
	if c.in.len() == 0 && c.plain && netio.Reads {
		c.borrowed, c.got, c.failed = nil, 0, nil
		if err := c.sock.Read(c.reader); err != nil {
			return nil, 0, err
		}
		buf, c.borrowed = c.borrowed, nil
		return buf, c.got, c.failed
	}
	buf = c.buffers.Get().(*[copyBuffer]byte)
	n, err = c.Read(buf[chunkRoom : len(buf)-endRoom])
	return buf, n, err
}

// readStep is one go at more.
func (c *upstreamConn) readStep(fd uintptr) (done bool) {
	buf := c.buffers.Get().(*[copyBuffer]byte)
	n, wait, err := netio.Read(fd, buf[chunkRoom:len(buf)-endRoom])
	if wait {
		c.buffers.Put(buf)
		return false
	}
	c.borrowed, c.got, c.failed = buf, n, err
	return true
}

// awaitHead writes out, if there is something, gives back the buffer that it is in, and blocks until the head of an
// answer is there, for head. When it fails, c.out, in c.borrowed, is what a deadline has kept it from writing.
func (c *upstreamConn) awaitHead(out []byte, in *[copyBuffer]byte) error {
	c.out, c.borrowed, c.failed = out, in, nil
	if c.out == nil && c.in.len() > 0 && c.found() {
		return c.failed
	}
	if c.plain && netio.Reads {
		if err := c.sock.Read(c.stepper); err != nil {
			return err
		}
		return c.failed
	}
	if c.out != nil {
		c.write()
		c.written()
	}
	for {
		n, err := c.Conn.Read(c.in.space())
		c.in.added(n)
		if n > 0 && c.found() {
			return c.failed
		}
		if err != nil {
			c.in.rest()
			return err
		}
	}
}

// head takes the head that awaitHead has found.
func (c *upstreamConn) head() string {
	h := c.heads.text(c.in.bytes()[:c.end])
	c.in.skip(c.end)
	c.end, c.scanned = 0, 0
	return h
}

// Read gives what is there already first.
func (c *upstreamConn) Read(p []byte) (int, error) {
	if c.in.len() > 0 {
		n := copy(p, c.in.bytes())
		c.in.skip(n)
		c.in.rest()
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite passes a half-close on.
func (c *upstreamConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// quiet reports that nothing has come on an unused connection, neither its end nor bytes that nobody asked for. What comes of
// TLS then is mostly its end, too, or a ticket later than others send it, for which a connection is no great price. The
// same goes for what else may be above the socket.
func (c *upstreamConn) quiet() bool {
	if c.sock == nil {
		return true
	}
	n, err := c.peek()
	return err == nil && n < 0 && (c.plain || !c.held())
}

// held reports that what is above the socket has got bytes, or an end, together with what was asked for.
func (c *upstreamConn) held() bool {
	_ = c.Conn.SetReadDeadline(past()) // with which nothing more is read
	n, err := c.Conn.Read(c.byte[:])
	_ = c.Conn.SetReadDeadline(time.Time{})
	return n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)
}

func (c *upstreamConn) shut() {
	c.Close()
	c.in.drop()
}

// hasNews reports that there is something to read, or an end, which step may have missed.
func (c *upstreamConn) hasNews() bool {
	if !c.plain {
		return false
	}
	n, err := c.peek()
	return err != nil || n >= 0
}

// peek is the function of that name, without allocation.
func (c *upstreamConn) peek() (n int, err error) {
	if err := c.sock.Control(c.peeker); err != nil {
		return 0, err
	}
	return c.peeked, c.peekErr
}

func (c *upstreamConn) look(fd uintptr) { c.peeked, c.peekErr = netio.PeekFD(fd, c.byte[:]) }

// brokenBy gives a failure before the answer its reason.
func (c *upstreamConn) brokenBy(err error) *Error {
	if e, ok := errors.AsType[h1.Error](err); ok {
		return &Error{Reason: BadResponse, Err: fmt.Errorf("the upstream's answer can't be used: %w", e)}
	}
	if err == io.EOF {
		err = errUpstreamClosed
	}
	return &Error{Reason: UpstreamClosed, Err: err}
}
