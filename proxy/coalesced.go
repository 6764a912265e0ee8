package proxy

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

const (
	// maxCoalesced bounds what waits on one connection. More than that of a frame's DATA (RFC 9113 §4.2: 16 KiB unless
	// more was agreed to) would only be copied.
	maxCoalesced = 16 << 10
	// readAhead is room for the requests that clients have in flight; larger reads do without.
	readAhead = 4 << 10
	// closeCoalesced bounds the last write, of what has been said before the end, for a peer that doesn't read.
	closeCoalesced = 100 * time.Millisecond
	// afterFailure is enough to read what came before a write failed: a GOAWAY tells what may be sent again.
	afterFailure = time.Second
)

// coalesced is a connection of HTTP/2. net/http flushes nearly every frame on both sides, a system call each, which takes
// more than all else that is done about a small frame, and its server reads each in two; this one writes together what
// all streams say in one turn of the scheduler, and reads ahead. A write that fails later is told to the next, and
// ends the reading too, after what has come.
type coalesced struct {
	net.Conn
	in   []byte // read ahead, and not taken
	room *[readAhead]byte

	mu        sync.Mutex
	moved     sync.Cond // a write has ended
	out       []byte    // waits
	spare     []byte
	scheduled bool // flush is on its way
	writing   bool // by somebody who holds mu not all the time
	err       error
}

func coalesce(c net.Conn) *coalesced {
	g := &coalesced{Conn: netio.Raw(c)}
	g.moved.L = &g.mu
	return g
}

// NetConn is for ConnContext.
func (g *coalesced) NetConn() net.Conn { return g.Conn }

// Read is for one goroutine at a time.
func (g *coalesced) Read(p []byte) (int, error) {
	if len(g.in) == 0 {
		if len(p) >= readAhead {
			return g.Conn.Read(p)
		}
		if g.room == nil {
			g.room = new([readAhead]byte)
		}
		n, err := g.Conn.Read(g.room[:])
		if g.in = g.room[:n]; n == 0 {
			return 0, err
		}
	}
	n := copy(p, g.in)
	g.in = g.in[n:]
	return n, nil
}

// Write keeps a copy of p, and blocks only while there is too much to keep.
func (g *coalesced) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.writing && len(g.out)+len(p) > maxCoalesced && g.err == nil {
		g.moved.Wait()
	}
	if g.err != nil {
		return 0, g.err
	}
	if len(g.out)+len(p) > maxCoalesced {
		return g.sendLocked(p)
	}
	if g.out == nil {
		g.out, g.spare = g.spare, nil
	}
	g.out = append(g.out, p...)
	if !g.scheduled && !g.writing {
		g.scheduled = true
		go g.flush()
	}
	return len(p), nil
}

// flush writes what has come until the others that were ready to run have run.
func (g *coalesced) flush() {
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.writing {
		_, _ = g.sendLocked(nil)
	}
	g.scheduled = false
	g.moved.Broadcast()
}

// sendLocked writes what waits, then p, then what has come meanwhile. It returns how much of p has been written.
func (g *coalesced) sendLocked(p []byte) (n int, err error) {
	g.writing = true
	for g.err == nil && len(g.out)+len(p) > 0 {
		out := g.out
		g.out = nil
		g.mu.Unlock()
		if len(out) > 0 {
			_, err = g.Conn.Write(out)
		}
		if err == nil && len(p) > 0 {
			n, err = g.Conn.Write(p)
		}
		if err != nil {
			_ = g.Conn.SetReadDeadline(time.Now().Add(afterFailure))
		}
		p = nil
		g.mu.Lock()
		if g.spare == nil && out != nil {
			g.spare = out[:0]
		}
		if err != nil && g.err == nil {
			g.err = err
		}
	}
	g.writing = false
	g.moved.Broadcast()
	return n, err
}

// CloseWrite ends the writing.
func (g *coalesced) CloseWrite() error {
	g.finish(net.ErrClosed)
	if c, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close writes what waits, unless the peer doesn't read, and waits for flush.
func (g *coalesced) Close() error {
	g.finish(net.ErrClosed)
	err := g.Conn.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.scheduled || g.writing {
		g.moved.Wait()
	}
	return err
}

// finish has what waits written, and fails all later writes with err.
func (g *coalesced) finish(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil && (g.writing || len(g.out) > 0) {
		_ = g.Conn.SetWriteDeadline(time.Now().Add(closeCoalesced))
		for g.writing { // who writes takes along what has come meanwhile
			g.moved.Wait()
		}
		if g.err == nil {
			_, _ = g.sendLocked(nil)
		}
	}
	if g.err == nil {
		g.err = err
	}
}
