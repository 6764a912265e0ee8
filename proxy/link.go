package proxy

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// link is a connection to an upstream, below TLS. It counts what http.ClientConn does not tell.
type link struct {
	net.Conn
	raw   syscall.RawConn // to look at the socket; nil when Conn has no descriptor
	plain bool            // no TLS above
	wrote atomic.Int64    // bytes
	// more says that bytes beyond the end of a head came with it, so that the body has begun.
	more  atomic.Bool
	ended atomic.Bool // by the upstream
	// body is that of the request in progress. net/http's client, having closed a connection, waits for its writer,
	// and the writer for the body: closing ends that.
	body atomic.Pointer[reader]
	// first gets each read until it knows what the upstream speaks.
	first *firstBytes

	mu      sync.Mutex
	closed  bool
	onClose func() // called once, by lose
}

func newLink(c net.Conn) *link {
	l := &link{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		l.raw, _ = sc.SyscallConn()
	}
	return l
}

// Write tells of a failure only when the reading has come to its end too; until then what is written goes nowhere. An upstream that
// answers a request early and closes the connection resets it when more of the body comes. What it has said before is there
// to be read, but net/http's client would give up the connection, or the stream, as soon as it heard of a write that failed.
func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	l.wrote.Add(int64(n))
	if err == nil {
		return n, nil
	}
	l.lose()
	if l.ended.Load() || errors.Is(err, net.ErrClosed) {
		return n, err
	}
	return len(p), nil
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.ended.Store(true)
	}
	if l.first != nil && l.first.read(p[:n], err) {
		l.first = nil
	}
	if l.plain {
		i := bytes.Index(p[:n], []byte("\r\n\r\n"))
		l.more.Store(i >= 0 && i+4 < n)
	}
	return n, err
}

// Close ends the reading of the body in progress too.
func (l *link) Close() error {
	if b := l.body.Load(); b != nil {
		_ = b.Close()
	}
	l.lose()
	return l.Conn.Close()
}

// lose has the connection be used no more: nothing can be sent on it.
func (l *link) lose() {
	l.mu.Lock()
	l.closed = true
	f := l.onClose
	l.onClose = nil
	l.mu.Unlock()
	if f != nil {
		f()
	}
}

// usable reports that it can be sent on, as far as is known.
func (l *link) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.closed
}

// whenClosed has f called by Close, or now when that has been called. http.ClientConn has a hook for its end too, but
// looks at its whole state for that after every step of a request.
func (l *link) whenClosed(f func()) {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.onClose = f
	}
	l.mu.Unlock()
	if closed {
		f()
	}
}

// CloseWrite passes a half-close on.
func (l *link) CloseWrite() error {
	if c, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// quiet reports that nothing has come on an unused connection: neither its end, which http.ClientConn may not have got
// to see yet, nor bytes that nobody asked for. Of TLS only the end is seen.
func (l *link) quiet() bool {
	if l.raw == nil {
		return true
	}
	n, err := netio.Peek(l.raw, make([]byte, 1))
	if err != nil {
		return false
	}
	return n < 0 || n > 0 && !l.plain
}

// dialError gives a failed dial, or a failed handshake on what has been connected, its reason.
func dialError(ctx context.Context, connected bool, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, errHTTP1Only) {
		return errHTTP1Only
	}
	timeout := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		timeout = true
	}
	switch {
	case timeout:
		return &Error{Reason: ConnectTimeout, Err: err}
	case !connected:
		return &Error{Reason: ConnectRefused, Err: err}
	default:
		return &Error{Reason: TLSFailed, Err: err}
	}
}
