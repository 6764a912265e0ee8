package proxy

import (
	"crypto/tls"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// client is a client's connection to an Engine. It has one goroutine, live.
type client struct {
	e      *Engine
	conn   net.Conn
	tls    *tls.Conn       // conn, if it is that
	sock   syscall.RawConn // of the socket, to watch it; nil: there is none
	direct bool            // conn is the socket
	parks  bool            // conn is the socket, or TLS over it: nothing else can hold back bytes that have come
	remote string          // the client's host:port
	peer   string          // its host; empty: it has none

	in      readBuffer
	scanned int  // bytes of in that have been searched for the end of a head
	served  bool // a request has been read
	shaken  bool // the TLS handshake has been made
	stepper func(fd uintptr) bool
	fd      uintptr // while in step
	entered bool    // step has not found yet that there is nothing more to read

	phase        atomic.Int32
	since        atomic.Int64 // of idle and head: nanoseconds since the engine's start
	current      atomic.Pointer[flow]
	looked       atomic.Bool // sweep has looked at it since it became idle
	interrupting sync.Mutex  // held while sweep sets the read deadline
	watching     sync.Mutex  // held by watchEnd
	watched      uint64      // its key in the handler's watch, until the end; 0: it isn't watched
	left         atomic.Bool // the watch has seen the client's end
	first        [1]byte     // of what comes inside TLS
	booking
	unfinished unfinished

	// What the reading of a head has led to, for live.
	next    *flow     // one that needs the connection's bytes
	refused *Error    // what has come is no request: why
	handed  *replayed // net/http goes on with the connection
	done    bool      // nothing more on this connection
	linger  bool      // the client may still be sending: see lingering
	gone    bool      // the client has disconnected
	abort   bool      // the connection is reset, so that its end isn't taken for the end of the answer
}

// The phases of a connection.
const (
	clientFresh   int32 = iota // nothing has come yet
	clientHead                 // a head is being read
	clientIdle                 // between requests
	clientActive               // a request is in progress
	clientClosed               // by the engine
	clientLate                 // the head has taken too long
	clientParking              // idle; its goroutine is to end
	clientParked               // idle, without a goroutine
	clientShed                 // the head is given up for newer ones
)

// live is the connection's goroutine, of which it has one at a time, and none while it is parked.
func (c *client) live() {
	parked := false
	defer func() {
		if !parked {
			c.end()
			c.e.forget(c)
			c.e.all.Done()
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
	for c.handed == nil && !c.done && c.phase.Load() != clientClosed {
		var err error
		if c.next == nil {
			err = c.read()
		}
		switch f := c.next; {
		case c.handed != nil || c.done:
		case f != nil:
			if parked = f.rests(); parked {
				return
			}
			c.next = nil
			c.carry(f)
		case c.refused != nil:
			c.refuse()
		case c.phase.Load() == clientParking:
			if parked = c.park(); parked {
				return
			}
		default:
			c.ended(err)
		}
	}
}

// handshake makes TLS; HTTP/2 by ALPN is handed off at once.
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
	if c.direct && netio.Reads {
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
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads what isn't read directly. No buffer is held while a client of TLS sends nothing: its first byte comes alone.
func (c *client) fill() error {
	p := c.first[:]
	if c.tls == nil || c.in.len() > 0 {
		p = c.in.space()
	}
	n, err := c.conn.Read(p)
	if n == 0 {
		return err
	}
	copy(c.in.space(), p[:n]) // mostly over itself
	c.in.added(n)
	return nil
}

// carry has f carried through, and readies the connection for what comes after.
func (c *client) carry(f *flow) {
	c.current.Store(f)
	if c.e.closed.Load() {
		f.clientGone()
	}
	for f.run(); f.suspended != nil; f.run() {
		if !f.suspended.waits() {
			c.next = f
			return
		}
	}
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

// socketOf is what is below TLS and whatever else has a method NetConn.
func socketOf(conn net.Conn) net.Conn {
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
