package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// preface is how a client begins HTTP/2 (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

var errHandedOff = errors.New("net/http goes on with the connection")

// handoff is the listener through which net/http's server gets whole connections of HTTP/1.1: those of which a request turned out
// to go to an upstream over HTTP/2, which Handler speaks.
type handoff struct {
	server *http.Server
	end    context.CancelCauseFunc // ends all its requests
	conns  chan given
	last   chan struct{} // taken of the last that was accepted; Accept's, which one goroutine calls
	once   sync.Once
	done   chan struct{}
}

// given is a connection, and how its giver hears that it is the server's, which counts it from then on.
type given struct {
	net.Conn
	taken chan struct{}
}

func newHandoff(h *Handler, c ServerConfig) *handoff {
	l := &handoff{server: NewServer(h, c), conns: make(chan given), done: make(chan struct{})}
	l.server.ConnContext, l.server.ConnState = connContext, connState
	var requests context.Context
	requests, l.end = context.WithCancelCause(context.Background())
	l.server.BaseContext = func(net.Listener) context.Context { return requests }
	return l
}

// Accept is called again once the server counts what it has got before.
func (l *handoff) Accept() (net.Conn, error) {
	if l.last != nil {
		close(l.last)
		l.last = nil
	}
	select {
	case c := <-l.conns:
		l.last = c.taken
		return c.Conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *handoff) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *handoff) Addr() net.Addr { return new(net.TCPAddr) }

// handOff gives a client's connection to the server, and returns when no Shutdown can lose it: net/http drops a request that it
// reads while it shuts down. The engine keeps it in mind: what net/http's server accepts in the moment of its Close it would
// serve on.
func (e *Engine) handOff(from *client) {
	c := from.handed
	c.e, c.served = e, make(chan struct{})
	e.mu.Lock()
	c.booking, from.booking = from.booking, booking{}
	e.handed[c] = struct{}{}
	to := e.handoff
	switch {
	case e.closed.Load():
		e.mu.Unlock()
		c.Close()
		return
	case e.closing.Load():
		to = e.lateLocked()
	default:
		e.giving.Add(1)
		defer e.giving.Done()
	}
	e.mu.Unlock()
	to.give(c)
	<-c.served
}

// lateLocked is for what is handed off after Shutdown has begun, such as a request that waited for its upstream by then: a server
// that is shutting down takes no connection any more. This one answers what comes, and tells each client to go.
func (e *Engine) lateLocked() *handoff {
	if e.late == nil {
		e.late = newHandoff(e.h, e.cfg)
		e.late.server.SetKeepAlivesEnabled(false)
		e.all.Go(e.late.serve)
	}
	return e.late
}

// serve blocks until the server is shut down or closed.
func (l *handoff) serve() { _ = l.server.Serve(l) }

// give hands c off, or closes it when the server has been closed.
func (l *handoff) give(c net.Conn) {
	select {
	case <-l.done:
		c.Close()
		return
	default:
	}
	g := given{c, make(chan struct{})}
	select {
	case l.conns <- g:
	case <-l.done:
		c.Close()
		return
	}
	select {
	case <-g.taken:
	case <-l.done:
	}
}

// replayed is a connection of which some bytes have been read already. It isn't a *tls.Conn, whatever is below: see
// tlsConn.
type replayed struct {
	net.Conn
	prefix  []byte
	request *handedRequest // the first, which the engine has begun; nil: a connection of HTTP/2, for a shard
	e       *Engine
	once    sync.Once
	served  chan struct{} // closed at the first request, or the end
	idle    atomic.Int64  // since then, by the engine's clock; 0: it isn't
	booking
}

func (c *replayed) Read(p []byte) (int, error) {
	if len(c.prefix) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.prefix)
	if c.prefix = c.prefix[n:]; len(c.prefix) == 0 {
		c.prefix = nil
	}
	return n, nil
}

// NetConn is for ConnContext.
func (c *replayed) NetConn() net.Conn { return c.Conn }

// CloseWrite is what net/http calls before it closes a connection whose client may still send.
func (c *replayed) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// come tells handOff that the connection has come to its first request, or to its end.
func (c *replayed) come() { c.once.Do(func() { close(c.served) }) }

// Close ends a request that net/http has not come to.
func (c *replayed) Close() error {
	c.come()
	if c.request != nil && c.request.claimed.CompareAndSwap(false, true) {
		c.request.lost(ClientGone)
		c.request.flow.h.leave()
	}
	c.e.mu.Lock()
	delete(c.e.handed, c)
	c.e.unbookLocked(&c.booking)
	c.e.mu.Unlock()
	return c.Conn.Close()
}

// handedRequest is a request that a policy has been asked about, on its way to a Handler, with the upstream that the policy has named.
type handedRequest struct {
	flow     *flow
	upstream Upstream
	at       Attempt
	claimed  atomic.Bool
}

type replayedKey struct{}

// handedOf is the request that the engine had begun on r's connection before net/http got it; nil: none.
func handedOf(r *http.Request) *handedRequest {
	if c, _ := r.Context().Value(replayedKey{}).(*replayed); c != nil {
		return c.request
	}
	return nil
}

// claim takes the request that the engine has begun on r's connection; it is the first that net/http gets.
func claim(r *http.Request) *handedRequest {
	c, _ := r.Context().Value(replayedKey{}).(*replayed)
	if c == nil {
		return nil
	}
	c.come()
	if c.request == nil || !c.request.claimed.CompareAndSwap(false, true) {
		return nil
	}
	return c.request
}

// lost ends the request for the policy, without another to go on with it.
func (b *handedRequest) lost(why Reason) {
	f := b.flow
	f.x.Release(b.upstream, AttemptResult{Reason: why})
	f.result.Reason, f.result.Status = why, why.Status()
	f.x.End(&f.req, f.result)
}

// goOn makes ex that of a request that an engine has begun.
func (ex *exchange) goOn(b *handedRequest) {
	f := b.flow
	ex.handed, ex.x = b, f.x
	ex.req.Arrived, ex.waited, ex.result.Attempts = f.req.Arrived, f.waited, b.at.N
	ex.clock.init(ex, ex.h.cfg.TimeoutText, f.req.Arrived)
}

// connContext is the ConnContext of the server that gets the connections.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if r, ok := c.(*replayed); ok {
		ctx = context.WithValue(ctx, replayedKey{}, r)
	}
	return ConnContext(ctx, c)
}

// handOff has net/http go on with the connection: it gets the head as the policy has left it, what has been read of the
// body, and everything that follows.
func (f *flow) handOff(upstream Upstream, at Attempt) error {
	b := f.up.body.AppendRewound(f.appendHandedHead(nil), f.up.held)
	f.c.handed = &replayed{
		Conn: f.c.conn, prefix: append(b, f.c.in.bytes()...), request: &handedRequest{flow: f, upstream: upstream, at: at},
	}
	f.c.in.drop()
	return errHandedOff
}
