package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"hash/maphash"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/internal/quota"
	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// Engine serves a Handler without net/http, except for clients of HTTP/1.1 whose upstream speaks HTTP/2: it hands their
// connections to a server of NewServer. It behaves as that server does, and is used like it: Serve, Shutdown, Close. It
// also takes websockets over HTTP/2 (RFC 8441).
//
// Connections and requests that wait for long give up their goroutines; see ServerConfig.FreeMemory for their stacks.
type Engine struct {
	h           *Handler
	cfg         ServerConfig
	log         *log.Logger
	pool        upstreamPool
	scan        slowScan
	heads       headCache
	unfinished  unfinishedHeads
	held        *quota.Shares[netip.Addr] // bytes, for requests of HTTP/2
	readBuffers sync.Pool                 // of *[readBufferSize]byte
	flows       sync.Pool                 // of *flow
	attempts    sync.Pool                 // of *flowAttempt
	start       time.Time
	handoff     *handoff
	shards      []*shard        // run what HTTP/2 clients ask for; from the first Serve on
	dials       context.Context // ends the shards' dials
	cancelDials context.CancelFunc

	closing atomic.Bool // by Shutdown, or Close
	closed  atomic.Bool // by Close

	mu        sync.Mutex
	clients   map[*client]struct{}
	handed    map[*replayed]struct{}   // net/http's
	streams   map[*clientConn]struct{} // the shards'
	nextShard int
	listeners map[net.Listener]struct{}
	sweep     *time.Timer // runs while there are clients
	serving   bool        // handoff is
	late      *handoff    // of connections since closing; nil: there were none
	stacks    stacks
	conns     connections    // all
	tls       connections    // of these, those inside TLS
	http2     connections    // of these, HTTP/2's
	giving    sync.WaitGroup // connections on their way to handoff
	all       sync.WaitGroup // connections, and what else the engine runs
}

// NewEngine makes an Engine. The caller listens, serves and shuts down; h is the caller's to drain and to close
// afterwards.
func NewEngine(h *Handler, c ServerConfig) *Engine {
	c.HeadTimeout = cmp.Or(c.HeadTimeout, DefaultHeadTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	c = c.withLimits()
	e := &Engine{
		h: h, cfg: c, log: cmp.Or(c.ErrorLog, log.New(io.Discard, "", 0)), start: time.Now(),
		handoff: newHandoff(h, c),
		clients: make(map[*client]struct{}), handed: make(map[*replayed]struct{}), streams: make(map[*clientConn]struct{}), listeners: make(map[net.Listener]struct{}),
	}
	e.dials, e.cancelDials = context.WithCancel(context.Background())
	e.readBuffers.New = func() any { return new([readBufferSize]byte) }
	e.flows.New = func() any {
		f := &flow{e: e, h: h}
		f.clock.init(f, h.cfg.TimeoutText, time.Time{})
		return f
	}
	e.attempts.New = func() any { return new(flowAttempt) }
	e.scan.init()
	e.unfinished.limit = c.MaxUnfinishedHeads
	e.held = quota.NewShares[netip.Addr](c.MaxHeld)
	e.conns = newConnections(c.MaxConns, "max-connections")
	e.tls = newConnections(c.MaxTLSConns, "max-tls-connections")
	e.http2 = newConnections(c.MaxHTTP2Conns, "max-http2-connections")
	e.heads.seed = maphash.MakeSeed()
	e.pool = upstreamPool{newIdlePool[upstreamConn](&h.cfg), &e.readBuffers, &e.heads, &h.buffers}
	return e
}

// flow takes one that is not in use.
func (e *Engine) flow() *flow { return e.flows.Get().(*flow) }

// keepFlow gives one back that has ended.
func (e *Engine) keepFlow(f *flow) {
	clear(f.head.Fields)
	f.head.Fields = f.head.Fields[:0]
	f.x, f.target, f.req, f.resp = nil, "", Request{}, Response{}
	f.mu.Lock()
	f.c, f.cause, f.upstream, f.cut, f.tunnelled, f.late, f.waits, f.suspended = nil, nil, nil, false, false, false, nil, nil
	f.mu.Unlock()
	f.waited, f.down, f.writing, f.aborted, f.hurt, f.done = 0, 0, false, false, false, time.Time{}
	if f.attempt != nil {
		f.attempt.reset()
	}
	e.flows.Put(f)
}

// attempt takes one that is not in use, for f.
func (e *Engine) attempt(f *flow) *flowAttempt {
	t := e.attempts.Get().(*flowAttempt)
	t.f = f
	return t
}

func (e *Engine) keepAttempt(t *flowAttempt) {
	t.f = nil
	t.reset()
	e.attempts.Put(t)
}

// since is a moment as connections note it.
func (e *Engine) since(t time.Time) int64 { return int64(t.Sub(e.start)) }

// Serve accepts connections from l until Shutdown or Close, and returns http.ErrServerClosed then, or the error of
// Accept. Connections of TLS are those of tls.NewListener or NewTLSListener. Connections of a type of the listener's own are
// read and written by its methods: see Config.Dial.
func (e *Engine) Serve(l net.Listener) error {
	e.mu.Lock()
	if e.closing.Load() {
		e.mu.Unlock()
		l.Close()
		return http.ErrServerClosed
	}
	e.listeners[l] = struct{}{}
	if !e.serving {
		if err := e.startShards(); err != nil {
			e.mu.Unlock()
			l.Close()
			return err
		}
		e.serving = true
		e.all.Go(e.handoff.serve)
	}
	e.mu.Unlock()
	defer e.unlisten(l)
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			e.accept(c)
		case e.closing.Load():
			return http.ErrServerClosed
		case temporary(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
		default:
			return err
		}
	}
}

// temporary reports that it was for want of something that may come back, descriptors mostly.
func temporary(err error) bool {
	for _, t := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

func (e *Engine) unlisten(l net.Listener) {
	l.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listeners, l)
}

// accept starts the life of a connection.
func (e *Engine) accept(conn net.Conn) {
	if t, ok := conn.(*tlsConn); ok {
		conn = t.Conn
	}
	c := &client{e: e, conn: conn, remote: conn.RemoteAddr().String(), in: readBuffer{pool: &e.readBuffers}, fd: noSocket}
	c.tls, _ = conn.(*tls.Conn)
	c.peer = peerOf(c.remote)
	socket := socketOf(conn)
	if s, ok := socket.(syscall.Conn); ok {
		c.sock, _ = s.SyscallConn()
	}
	c.direct = netio.Socket(conn) != nil
	c.parks = c.direct || c.tls != nil && netio.Socket(c.tls.NetConn()) != nil
	c.stepper = c.step
	c.since.Store(e.since(time.Now()))
	c.payer = e.payerOf(c.peer)
	ok, full := e.admit(c)
	if ok {
		go c.live()
		return
	}
	socket.Close()
	if full != nil {
		e.tellCrowded(c.remote, full)
	}
}

// admit takes a connection into the engine's care, unless that is closing or one of its bounds is full, which it returns.
func (e *Engine) admit(c *client) (ok bool, full *connections) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing.Load() {
		return false, nil
	}
	if c.tls != nil { // from its handshake on, which takes more than the connection does later
		if c.inTLS = e.bookLocked(&e.tls, c.payer); !c.inTLS {
			return false, &e.tls
		}
	}
	if c.conns = e.bookLocked(&e.conns, c.payer); !c.conns {
		e.unbookLocked(&c.booking)
		return false, &e.conns
	}
	e.clients[c] = struct{}{}
	if e.sweep == nil {
		e.sweep = time.AfterFunc(e.sweepEvery(), e.swept)
	}
	e.all.Add(1)
	return true, nil
}

// forget takes a connection out of the engine's care.
func (e *Engine) forget(c *client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.clients, c)
	e.unbookLocked(&c.booking)
}

// Shutdown stops listening, closes connections as they come to be without a request, and blocks until there are none, or
// ctx ends, whose error it returns then. Upgraded connections are waited for; for a head that is being received there is
// half a second.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.stopListening()
	e.giving.Wait()
	e.drainShards()
	begun := e.since(time.Now())
	handed := make(chan error, 1)
	go func() { handed <- e.handoff.server.Shutdown(ctx) }() // ends with ctx
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !e.quiet(begun) {
		select {
		case <-ctx.Done():
			<-handed
			return ctx.Err()
		case <-tick.C:
		}
	}
	if err := <-handed; err != nil {
		return err
	}
	e.mu.Lock()
	late := e.late // and no connection is left that could be handed off
	e.mu.Unlock()
	if late != nil {
		if err := late.server.Shutdown(ctx); err != nil {
			return err
		}
	}
	e.finish()
	return nil
}

// freshGrace is for how long Shutdown waits for the first bytes of a connection that has just been made, and for the end
// of a head that is being received.
const freshGrace = 500 * time.Millisecond

// quiet closes what has no request, in a Shutdown that began at begun, and reports that there is nothing else.
func (e *Engine) quiet(begun int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.since(time.Now())
	over := func(since int64) bool { return time.Duration(now-since) >= freshGrace }
	for c := range e.clients {
		c.wake(clientClosed)
		since := c.since.Load()
		if c.phase.CompareAndSwap(clientIdle, clientClosed) || c.phase.CompareAndSwap(clientParking, clientClosed) ||
			over(since) && c.phase.CompareAndSwap(clientFresh, clientClosed) ||
			over(max(since, begun)) && c.phase.CompareAndSwap(clientHead, clientClosed) {
			c.interrupt()
		}
	}
	return len(e.clients) == 0 && len(e.streams) == 0
}

func (e *Engine) stopListening() {
	e.closing.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.listeners {
		l.Close()
	}
}

// Close ends everything now, requests in progress too, and waits for it, a second at most. A request whose answer has not
// begun gets a 503 (Draining). It returns nil.
func (e *Engine) Close() error {
	e.stopListening()
	e.endRequests()
	e.closed.Store(true)
	e.mu.Lock()
	for c := range e.clients {
		if f := c.current.Load(); f != nil {
			f.clientGone()
		}
		_ = c.conn.SetDeadline(past())
		c.wake(clientClosed)
	}
	e.mu.Unlock()
	e.closeShards()
	_ = e.handoff.server.Close()
	e.mu.Lock()
	late := e.late
	e.mu.Unlock()
	if late != nil {
		_ = late.server.Close()
	}
	e.mu.Lock()
	left := slices.Collect(maps.Keys(e.handed))
	e.mu.Unlock()
	for _, c := range left {
		socketOf(c.Conn).Close() // which net/http notices, and closes the rest
	}
	e.finish()
	return nil
}

// lastAnswers is how long Close takes to tell those whose requests it ends.
const lastAnswers = time.Second

// endRequests ends all requests, and blocks until that has been said to those who can be told.
func (e *Engine) endRequests() {
	if e.h.InFlight() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	why := &Error{Reason: Draining, Text: "shutting down\n"}
	e.mu.Lock()
	servers := []*handoff{e.handoff}
	if e.late != nil {
		servers = append(servers, e.late)
	}
	for c := range e.clients {
		if f := c.current.Load(); f != nil {
			f.clock.end(why)
		}
	}
	e.mu.Unlock()
	for _, l := range servers {
		l.end(why)
	}
	e.endShards(why)
	_ = e.h.Drain(ctx)
	for _, l := range servers {
		_ = l.server.Shutdown(ctx) // what HTTP/2 still has to write
	}
}

// finish is the last of an engine.
func (e *Engine) finish() {
	e.handoff.Close()
	if e.late != nil { // and it stays so: no connection is left that could be handed off
		e.late.Close()
	}
	e.closeShards()
	e.all.Wait()
	for _, s := range e.shards {
		s.loop.Close()
	}
	e.scan.close()
	e.pool.close()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sweep != nil {
		e.sweep.Stop()
	}
}
