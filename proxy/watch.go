package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"
)

// watch tells exchanges that their client has gone while nobody reads its connection. net/http notices by itself on
// HTTP/2, and on HTTP/1.1 when nothing comes after the request; an unread body, or a pipelined request, hides the end.
// A client that half-closes counts as gone, as it does for net/http. One that goes in the middle of a body larger than the receive
// buffer stays unseen if its system still has bytes to send, since its FIN comes after them.
//
// Its goroutine is started by the first request that needs it and ended by close. A connection is watched for as long as
// an exchange lasts, or, by an Engine, until its end: an event that comes late has an id that means nothing any more.
type watch struct {
	mu      sync.Mutex
	poller  *poller // nil until used
	clients map[uint64]leaver
	last    uint64
	closed  bool
}

// leaver is told that its client has gone, or, if it has asked for that, that something has come. It must not block, nor
// call the watch.
type leaver interface{ clientGone() }

// anything in an id says that bytes count too, and that the first news is all that is asked for.
const anything = 1

// add watches a connection for ex: for its end; with bytes for whatever comes first, once. before is what it is watched
// as already, which ends by that; 0 is not at all.
func (w *watch) add(raw syscall.RawConn, ex leaver, bytes bool, before uint64) (id uint64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, false
	}
	if w.poller == nil {
		p, err := newPoller(w)
		if err != nil {
			return 0, false
		}
		w.poller, w.clients = p, make(map[uint64]leaver)
		go p.run()
	}
	w.last += 2
	if id = w.last; bytes {
		id |= anything
	}
	delete(w.clients, before)
	w.clients[id] = ex
	if w.poller.addLocked(raw, id, before != 0) != nil {
		delete(w.clients, id)
		return 0, false
	}
	return id, true
}

// forget is remove for a connection that is about to be closed.
func (w *watch) forget(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clients, id)
}

func (w *watch) remove(raw syscall.RawConn, id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clients, id)
	if !w.closed {
		w.poller.removeLocked(raw)
	}
}

// gone is called by the poller. An id that is not watched any more is an event that came late.
func (w *watch) gone(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.goneLocked(id)
}

func (w *watch) goneLocked(id uint64) {
	if ex := w.clients[id]; ex != nil {
		ex.clientGone()
	}
}

// close ends the goroutine and waits for it.
func (w *watch) close() {
	w.mu.Lock()
	p := w.poller
	if w.closed {
		p = nil
	}
	w.closed = true
	w.mu.Unlock()
	if p != nil {
		p.close()
	}
}

type (
	connKey struct{}
	tlsKey  struct{}
)

// ConnContext is for http.Server.ConnContext: it lets a Handler see that a client has gone while its request waits with
// an unread body. It finds the socket below TLS and whatever else has a method NetConn.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	for {
		if t, ok := c.(*tls.Conn); ok {
			ctx = context.WithValue(ctx, tlsKey{}, t)
		}
		inner, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = inner.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return ctx
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, connKey{}, raw)
}

// watchClient has ex told of its client's leaving from now until end. On HTTP/2 net/http sees it.
func (ex *exchange) watchClient() {
	if ex.watched != 0 || ex.req.Proto != HTTP1 {
		return
	}
	raw, _ := ex.r.Context().Value(connKey{}).(syscall.RawConn)
	ok := false
	if raw != nil {
		ex.watched, ok = ex.h.watch.add(raw, ex, false, 0)
		ex.watchedConn = raw
	}
	if !ok && ex.h.cfg.OnUnwatched != nil && !ex.up.complete() {
		ex.h.unwatched.Do(ex.h.cfg.OnUnwatched)
	}
}

func (ex *exchange) unwatchClient() {
	if ex.watched != 0 {
		ex.h.watch.remove(ex.watchedConn, ex.watched)
	}
}
