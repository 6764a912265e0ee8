package loop

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
)

const (
	readSize  = 64 << 10 // a read, with what was left before; and the most that a Handler may leave
	readsMost = 4        // of a socket in one turn
	full      = 64 << 10
	drained   = 32 << 10
)

// errStuck is a Handler's fault.
var errStuck = errors.New("loop: Input took nothing of a full buffer: a Handler has to take some of 64 KiB, or to pause")

// Handler has a connection. Its methods are called in turns. None is called after Close, Abort, Detach or Ended with an error.
type Handler interface {
	// Input is given what has come, behind what was left before, up to 64 KiB, and returns how much of it has been taken. The
	// rest is given again when more has come, or after Resume. p is valid until Input returns. A Handler that takes nothing of 64 KiB
	// must have called Pause.
	Input(p []byte) (n int)
	// Hangup is called once, before Ended: the peer has closed its side, or is gone, although there may still be bytes to read, even
	// if reading is paused. Where there is no epoll, or no socket, that is seen only when all bytes have been read.
	Hangup()
	// Ended is called when no more will come, and with an error when the connection has failed and been closed. Without an
	// error, which is the peer's FIN, output is sent as before, and Close has to be called; it may be called again with an
	// error if that fails.
	Ended(err error)
	// Drained is called in a later turn after Full, when less than 32 KiB wait to be sent.
	Drained()
}

// driver moves a connection's bytes. Its methods are called in turns.
type driver interface {
	// send is called at the end of a turn if there is output, or something that waits until output has been sent.
	send()
	// goOn is called in the turn after one in which this was asked for, unless the Handler is done with the connection.
	goOn()
	// flush sends what can be sent at once.
	flush()
	// quiet reports that nothing has come.
	quiet() bool
	// unread puts p before what comes.
	unread(p []byte)
	// resumed is called when reading may go on.
	resumed()
	// cut closes the connection without sending anything; with a RST if reset.
	cut(reset bool)
	// stop closes it at the Loop's end.
	stop()
}

// Conn is a connection of a Loop. Its methods may be called in the Loop's turns only, and do nothing when the connection is
// closed.
type Conn struct {
	loop   *Loop
	h      Handler
	d      driver
	nc     net.Conn
	out    []byte
	wrote  int64
	detach func(net.Conn, []byte, error)
	slot   uint32
	serial uint32

	paused   bool
	hup      bool // Hangup has been called
	ended    bool // Ended has been called
	full     bool // Drained is due when output has been sent
	drainDue bool // in the next turn
	dirty    bool // in Loop.dirty
	queued   bool // in Loop.later
	shut     bool // CloseWrite has been called
	closing  bool // Close has been called
	bounded  bool // in Loop.closing
	muted    bool // the Handler hears nothing any more
	gone     bool // it isn't the Loop's any more
}

// Out is what waits to be sent, at the end of the turn: append to it. The pointer stays the same, but Out has to be called again
// in each turn before something is appended: it provides a buffer of the Loop's, which is returned when the output has been sent.
func (c *Conn) Out() *[]byte {
	if c.out == nil && !c.gone {
		c.out = c.loop.buffers.get()
	}
	c.setDirty()
	return &c.out
}

// setDirty has Out sent at the end of the turn.
func (c *Conn) setDirty() {
	if !c.dirty && !c.gone {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// Full reports that 64 KiB or more wait to be sent. Then Drained will be called.
func (c *Conn) Full() bool { return c.waiting() >= full }

// waiting is how much waits to be sent.
func (c *Conn) waiting() int {
	n := len(c.out)
	if s, ok := c.d.(*stream); ok {
		n += len(s.sending)
	}
	return n
}

// Flush sends some of Out now, if the system takes it at once, so that more can be appended: for bulk. What fails is told later.
// Drained will be called if Out was Full.
func (c *Conn) Flush() {
	if !c.gone {
		c.full = c.full || c.Full()
		c.d.flush()
	}
}

// Wrote is how many bytes have been given to the system, or to a goroutine that does so: the peer may have got them.
func (c *Conn) Wrote() int64 {
	if s, ok := c.d.(*stream); ok {
		return c.wrote + int64(len(s.sending))
	}
	return c.wrote
}

// Appended is how many bytes Out has ever had.
func (c *Conn) Appended() int64 { return c.wrote + int64(c.waiting()) }

// Quiet reports that nothing has come that the Handler has not been given, neither bytes nor an end.
func (c *Conn) Quiet() bool { return !c.muted && !c.ended && c.d.quiet() }

// Unread has the Handler given p, of 64 KiB at most, before what comes. It is for the turn in which the connection was added.
func (c *Conn) Unread(p []byte) {
	if len(p) > 0 && !c.muted {
		c.d.unread(p)
	}
}

// Pause stops reading: Input and Ended aren't called until Resume. What a goroutine is reading at the moment is kept.
func (c *Conn) Pause() { c.paused = true }

// Resume has reading go on in a later turn, first with what Input has left.
func (c *Conn) Resume() {
	if c.paused {
		c.paused = false
		if !c.muted {
			c.d.resumed()
		}
	}
}

// CloseWrite closes this side when Out has been sent. On a connection that can't be half-closed it does nothing.
func (c *Conn) CloseWrite() {
	c.shut = true
	c.setDirty()
}

// Close sends Out and closes the connection. Bytes that have come and haven't been read make that a RST: to avoid it call
// CloseWrite first, and read on until Ended. A peer that doesn't read delays it for CloseTimeout at most; Abort may be called
// meanwhile.
func (c *Conn) Close() {
	if !c.muted {
		c.muted, c.closing = true, true
		c.setDirty()
	}
}

// Abort closes the connection at once, with a RST if it is a socket.
func (c *Conn) Abort() {
	if !c.gone {
		c.muted = true
		c.d.cut(true)
		c.detached(nil, nil, net.ErrClosed)
	}
}

// Detach takes the connection out of the Loop. When Out has been sent f is called once in a turn, this one at the earliest, with the
// connection, which is for goroutines then, and what Input has left; or with an error, and the connection is closed.
func (c *Conn) Detach(f func(nc net.Conn, rest []byte, err error)) {
	if c.muted {
		if late := func() { f(nil, nil, net.ErrClosed) }; !c.loop.Post(late) {
			late()
		}
		return
	}
	c.muted, c.detach = true, f
	c.setDirty()
}

// NetConn tells the addresses, and of a connection that isn't a plain socket it is what Add was given, a *tls.Conn say. It is
// not for reading, writing or closing.
func (c *Conn) NetConn() net.Conn { return c.nc }

// detached calls what Detach was given, if it was.
func (c *Conn) detached(nc net.Conn, rest []byte, err error) {
	if f := c.detach; f != nil {
		c.detach = nil
		c.loop.call(func() { f(nc, rest, err) })
	}
}

// sent is called after output has been, whether or not all.
func (c *Conn) sent() {
	if c.full && c.waiting() < drained {
		c.full, c.drainDue = false, true
		c.loop.laterLocked(c)
	}
}

// end tells the Handler that no more will come.
func (c *Conn) end() {
	c.hangup()
	if !c.muted && !c.ended {
		c.ended = true
		c.callEnded(nil)
	}
}

// fail tells the Handler what is wrong and closes the connection.
func (c *Conn) fail(err error) {
	c.hangup()
	if !c.muted {
		c.muted = true
		c.callEnded(err)
	}
	if !c.gone {
		c.d.cut(false)
		c.detached(nil, nil, err)
	}
}

func (c *Conn) hangup() {
	if !c.hup && !c.muted {
		c.hup = true
		defer c.recovered()
		c.h.Hangup()
	}
}

// take gives p to the Handler, and returns how much it leaves at the front of p.
func (c *Conn) take(p []byte) (rest int) {
	n := c.callInput(p)
	switch {
	case n < 0 || n > len(p):
		c.fail(fmt.Errorf("loop: Input says that it took %d of %d bytes", n, len(p)))
		return 0
	case n == 0 && len(p) == readSize && !c.paused && !c.muted:
		c.fail(errStuck)
	case n == 0:
		return len(p)
	}
	return copy(p, p[n:])
}

func (c *Conn) callInput(p []byte) (n int) {
	defer c.recovered()
	return c.h.Input(p)
}

func (c *Conn) callEnded(err error) {
	defer c.recovered()
	c.h.Ended(err)
}

func (c *Conn) callDrained() {
	if !c.muted {
		defer c.recovered()
		c.h.Drained()
	}
}

// recovered is deferred around each call of the Handler.
func (c *Conn) recovered() {
	if c.loop.cfg.Panicked == nil {
		return
	}
	if v := recover(); v != nil {
		c.loop.cfg.Panicked(v, debug.Stack())
		c.fail(fmt.Errorf("loop: a Handler panicked: %v", v))
	}
}
