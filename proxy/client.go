package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// client is a client's connection to an Engine. It has one goroutine, live.
type client struct {
	e      *Engine
	conn   net.Conn
	tls    *tls.Conn       // conn, if it is that
	sock   syscall.RawConn // of the socket; nil: there is none
	direct bool            // conn is the socket
	remote string          // host:port
	peer   string          // host

	in      inbox
	scanned int  // of in, for the end of a head
	served  bool // a request
	shaken  bool // hands
	stepper func(fd uintptr) bool
	fd      uintptr // while in step
	entered bool    // step has not been told yet that there is nothing

	phase   atomic.Int32
	since   atomic.Int64 // of idle and head: nanoseconds since the engine's start
	current atomic.Pointer[flow]
	looked  atomic.Bool // sweep, for an end, since it is idle
	waking  sync.Mutex  // held while sweep sets the read deadline

	// What the reading of a head has come to; live goes on with it.
	next    *flow     // one that needs the connection's bytes
	refused *Error    // no request
	handed  *replayed // net/http's from now on
	done    bool      // nothing more on this connection
	linger  bool      // its client may be sending still
	gone    bool      // its client isn't there any more
	abort   bool      // its end must not be taken for the answer's
}

// The phases of a connection.
const (
	clientFresh   int32 = iota // nothing has come yet
	clientHead                 // a head is being read
	clientIdle                 // between requests
	clientActive               // a request is in progress
	clientClosed               // by the engine
	clientLate                 // the head has taken too long
	clientRenewed              // idle; its goroutine is to be replaced by one with a small stack
)

// live is the connection's goroutine.
func (c *client) live() {
	renewed := false
	defer func() {
		if !renewed {
			c.end()
			c.e.forget(c)
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			c.abort = true
			if p != http.ErrAbortHandler {
				c.e.log.Printf("proxy: panic serving %s: %v\n%s", c.remote, p, debug.Stack())
			}
		}
	}()
	if c.tls != nil && !c.shaken && !c.handshake() {
		return
	}
	for c.handed == nil && !c.done {
		err := c.read()
		switch {
		case c.handed != nil || c.done:
		case c.next != nil:
			f := c.next
			c.next = nil
			c.carry(f)
		case c.refused != nil:
			c.refuse()
		case c.phase.CompareAndSwap(clientRenewed, clientIdle):
			c.unwake()
			if renewed = !c.e.closed.Load(); renewed {
				c.e.all.Go(c.live)
				return
			}
			c.done = true
		default:
			c.ended(err)
		}
	}
}

// handshake makes TLS; HTTP/2 by ALPN is handed over at once.
func (c *client) handshake() bool {
	if err := c.tls.Handshake(); err != nil { // within HeadTimeout, at which it is closed
		c.e.log.Printf("proxy: TLS handshake with %s: %v", c.remote, err)
		return false
	}
	c.shaken = true
	if c.tls.ConnectionState().NegotiatedProtocol == "h2" {
		c.handed = &replayed{Conn: c.conn}
	}
	return true
}

// read reads heads, and carries through the requests that need no more bytes, until something else comes up.
func (c *client) read() error {
	if c.direct && rawReads {
		if c.in.len() > 0 && c.advance() {
			return nil
		}
		c.entered = true
		return c.sock.Read(c.stepper)
	}
	for {
		if c.in.len() > 0 && c.advance() {
			return nil
		}
		n, err := c.conn.Read(c.in.space())
		c.in.added(n)
		if n == 0 {
			return err
		}
	}
}

// step is one go at reading, inside RawConn.Read; false asks to be called again when there is more. Everything that
// happens to a request which has come in full happens in here, so that no edge of the socket's is lost between one
// read and the next. A read that leaves room has taken everything, and none is made to be told so; only an end that
// came together with bytes stays unseen by that, until sweep looks. At first what is there may be older than the wait, and all of it is read.
func (c *client) step(fd uintptr) (done bool) {
	c.fd = fd
	defer c.leaveStep()
	for more := true; more; {
		p := c.in.space()
		n, wait, err := readSocket(fd, p)
		if wait {
			c.entered = false
			c.in.rest()
			return false
		}
		if err != nil {
			return true
		}
		c.in.added(n)
		if more = n == len(p) || c.entered || !c.served; c.advance() {
			return true
		}
	}
	return false
}

func (c *client) leaveStep() { c.fd = noSocket }

// noSocket is no descriptor.
const noSocket = ^uintptr(0)

// write writes to the client.
func (c *client) write(b []byte) error {
	if c.fd != noSocket {
		if b = b[writeSocket(c.fd, b):]; len(b) == 0 {
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
		if end == 0 {
			if !c.phase.CompareAndSwap(clientFresh, clientHead) && c.phase.CompareAndSwap(clientIdle, clientHead) {
				c.since.Store(c.e.since(time.Now()))
			}
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
		if c.done || c.handed != nil {
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
	case end > c.e.cfg.MaxHead, end == 0 && len(b) > c.e.cfg.MaxHead:
		c.refuseWith(h1.ErrHeadTooLarge)
		if next == 0 {
			c.refuseWith(h1.ErrLineTooLong)
		}
	case next == 0 && len(b) > c.e.cfg.MaxLine:
		c.refuseWith(h1.ErrLineTooLong)
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
	case clientRenewed:
		c.unwake()
	}
	f := c.e.flow()
	err := f.head.Parse(c.e.heads.text(c.in.bytes()[:end]), c.e.cfg.MaxFields)
	if err == nil && len(f.head.Method)+len(f.head.Target) > c.e.cfg.MaxLine {
		err = h1.ErrLineTooLong
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

// carry has f carried through, and readies the connection for what comes after.
func (c *client) carry(f *flow) {
	c.current.Store(f)
	if c.e.closed.Load() {
		f.clientGone()
	}
	f.run()
	c.current.Store(nil)
	if f.handed {
		return // its flow goes with it
	}
	if f.keep && !c.e.closed.Load() {
		c.since.Store(c.e.since(f.req.Arrived.Add(f.result.Total)))
		c.looked.Store(false)
		c.phase.Store(clientIdle)
	} else {
		c.done = true
		c.linger = !f.aborted && !f.up.body.Done() || c.in.len() > 0
		c.gone = c.gone || f.result.Reason == ClientGone
		c.abort = f.aborted && f.framing == framedByClose
	}
	c.e.keepFlow(f)
}

func (c *client) refuseWith(err error) {
	var e *Error
	var m *h1.Error
	switch {
	case errors.As(err, &e):
	case errors.As(err, &m):
		e = &Error{Reason: BadRequest, Status: m.Status, Err: m}
	default:
		e = &Error{Reason: BadRequest, Err: err}
	}
	c.refused = e
}

// refuse answers what is no request, and ends the connection.
func (c *client) refuse() {
	c.done, c.linger = true, true
	_ = c.conn.SetDeadline(time.Now().Add(afterAnswer))
	_, _ = c.conn.Write(c.e.h.refusal(c.refused)) // a client that has gone needs none
	if c.e.cfg.OnRefused != nil {
		c.e.cfg.OnRefused(c.remote, c.refused)
	}
}

// ended is the end of the client's bytes, or of the patience with it.
func (c *client) ended(err error) {
	c.done = true
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.phase.Load() != clientLate {
		return
	}
	if c.in.len() == 0 {
		return
	}
	c.refused = &Error{Reason: BadRequest, Status: http.StatusRequestTimeout, Err: fmt.Errorf("no head within %v", c.e.cfg.HeadTimeout)}
	c.refuse()
}

// end closes the connection, unless it is somebody else's.
func (c *client) end() {
	c.in.drop()
	if c.handed != nil {
		c.e.forget(c)
		c.e.handover.give(c.handed)
		return
	}
	if t, ok := c.socket().(*net.TCPConn); ok && c.abort {
		_ = t.SetLinger(0)
	}
	if c.linger && !c.gone && !c.abort && !c.e.closed.Load() {
		c.lingering()
	}
	c.conn.Close()
}

// lingering ends the connection by halves: what the client still sends is read for a while, so that no reset loses the
// answer (RFC 9112 §9.6).
func (c *client) lingering() {
	w, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	buf := c.e.h.buffer()
	defer c.e.h.putBuffer(buf)
	_ = c.conn.SetReadDeadline(time.Now().Add(afterAnswer))
	for n := 0; n < lingerMost; {
		m, err := c.conn.Read(buf[:])
		if err != nil {
			return
		}
		n += m
	}
}

// lingerMost is net/http's bound on what is read and thrown away.
const lingerMost = 256 << 10

// socket is what is below TLS and whatever else has a method NetConn.
func (c *client) socket() net.Conn {
	conn := c.conn
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = inner.NetConn()
	}
}

// Read gives what has been read already first: for an upgraded connection.
func (c *client) Read(p []byte) (int, error) {
	if c.in.len() > 0 {
		n := copy(p, c.in.bytes())
		c.in.skip(n)
		c.in.rest()
		return n, nil
	}
	return c.conn.Read(p)
}
