package proxy

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/internal/quota"
)

// Usage is how much of a bound is in use.
type Usage struct {
	Name        string // what is bounded: connections, tls_connections, http2_connections, unfinished_heads or held_bytes
	Used, Limit int64
	Refused     uint64 // what had to go, or was not let in
}

// Usage tells what the engine holds for its clients. It blocks for no more than a short-held lock.
func (e *Engine) Usage() []Usage {
	return []Usage{
		{"connections", e.conns.Used(), e.conns.Limit(), e.conns.Refused()},
		{"tls_connections", e.tls.Used(), e.tls.Limit(), e.tls.Refused()},
		{"http2_connections", e.http2.Used(), e.http2.Limit(), e.http2.Refused()},
		e.unfinished.usage(),
		{"held_bytes", e.held.Used(), e.held.Limit(), e.held.Refused()},
	}
}

// connections is a bound on them, shared among the addresses of clients. What is idle is guarded by Engine.mu.
type connections struct {
	*quota.Shares[netip.Addr]
	setting string

	idle   []idleConn                // the longest idle first
	idleOf map[netip.Addr][]idleConn // the same, by address
	looked time.Time                 // when that was so
}

// idleConn is a connection that was idle since then, and may be closed for another.
type idleConn struct {
	since  int64
	client netip.Addr
	conn   interface {
		// yieldLocked ends the connection, if it still is idle.
		yieldLocked(since int64) bool
	}
}

func newConnections(limit int, setting string) connections {
	return connections{Shares: quota.NewShares[netip.Addr](int64(limit)), setting: setting, idleOf: map[netip.Addr][]idleConn{}}
}

// booking is what a connection has taken of the bounds. It is guarded by Engine.mu.
type booking struct {
	payer               netip.Addr // the zero one: nobody, since many come through it
	conns, inTLS, http2 bool
}

// tellCrowded tells that a connection was closed for want of room.
func (e *Engine) tellCrowded(remote string, c *connections) {
	if e.cfg.OnRejected != nil {
		e.cfg.OnRejected(remote, noRoom.with(": of %d, the limit %s, none is free that this client may have", c.Limit(), c.setting))
	}
}

// bookLocked takes a connection's part of c, closing an idle connection for it if need be.
func (e *Engine) bookLocked(c *connections, key netip.Addr) bool {
	for !c.TakeOne(key) {
		if !e.makeRoomLocked(c, key) {
			return false
		}
	}
	return true
}

func (e *Engine) unbookLocked(b *booking) {
	if b.conns {
		e.conns.GiveOne(b.payer)
	}
	if b.http2 {
		e.http2.GiveOne(b.payer)
	}
	if b.inTLS {
		e.tls.GiveOne(b.payer)
	}
	b.conns, b.inTLS, b.http2 = false, false, false
}

// payerOf is whose part of the connections an address uses.
func (e *Engine) payerOf(host string) netip.Addr {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{} // it came over a socket of another kind
	}
	return quota.Client(a, e.cfg.Proxies)
}

// lookEvery, for each connection that there is, is the time after which idle ones are looked for again to make room. To look
// at one takes a tenth of that.
const lookEvery = time.Microsecond

// makeRoomLocked closes the connection that has been idle for longest, which is one of the client's own if that has its
// part of what the others leave.
func (e *Engine) makeRoomLocked(c *connections, key netip.Addr) bool {
	if c.yieldFirst(key) {
		return true
	}
	if time.Since(c.looked) < lookEvery*time.Duration(len(e.clients)+len(e.handed)+len(e.streams)) {
		return false
	}
	e.findIdleLocked(c)
	return c.yieldFirst(key)
}

func (c *connections) yieldFirst(key netip.Addr) (ok bool) {
	if c.Used() >= c.Limit() {
		ok, c.idle = yieldFirst(c.idle)
		return ok
	}
	ok, c.idleOf[key] = yieldFirst(c.idleOf[key])
	return ok
}

// yieldFirst has the first yield that still is idle, and returns those behind it.
func yieldFirst(all []idleConn) (ok bool, rest []idleConn) {
	for i, x := range all {
		if x.conn.yieldLocked(x.since) {
			return true, all[i+1:]
		}
	}
	return false, nil
}

// findIdleLocked lists what may be closed. Of connections without a request so far it is those whose client has had time
// for one.
func (e *Engine) findIdleLocked(c *connections) {
	c.looked, c.idle, c.idleOf = time.Now(), nil, map[netip.Addr][]idleConn{}
	now := e.since(c.looked)
	if c != &e.http2 {
		for x := range e.clients {
			if c == &e.tls && !x.inTLS {
				continue
			}
			since := x.since.Load()
			switch p := x.phase.Load(); {
			case p == clientIdle, p == clientParked, p == clientFresh && time.Duration(now-since) > freshGrace:
				c.idle = append(c.idle, idleConn{since, x.payer, x})
			}
		}
	}
	for x := range e.handed {
		if since := x.idle.Load(); since > 0 && c != &e.http2 && (c != &e.tls || x.inTLS) {
			c.idle = append(c.idle, idleConn{since, x.payer, x})
		}
	}
	for x := range e.streams {
		since := x.idle.Load()
		if fresh := since == x.born && time.Duration(now-since) <= freshGrace; since > 0 && !fresh && (c != &e.tls || x.inTLS) {
			c.idle = append(c.idle, idleConn{since, x.payer, x})
		}
	}
	slices.SortFunc(c.idle, func(a, b idleConn) int { return cmp.Compare(a.since, b.since) })
	for _, x := range c.idle {
		c.idleOf[x.client] = append(c.idleOf[x.client], x)
	}
}

func (c *client) yieldLocked(since int64) bool {
	if c.since.Load() != since {
		return false
	}
	c.wake(clientClosed) // if it is parked
	if c.phase.Load() != clientClosed && !c.interruptFrom(clientIdle, clientClosed) && !c.interruptFrom(clientFresh, clientClosed) {
		return false
	}
	had := c.conns
	c.e.unbookLocked(&c.booking)
	return had
}

func (c *replayed) yieldLocked(since int64) bool {
	if !c.idle.CompareAndSwap(since, 0) {
		return false
	}
	socketOf(c.Conn).Close() // which net/http notices, and closes the rest
	had := c.conns
	c.e.unbookLocked(&c.booking)
	return had
}

// connState is for net/http: a connection of HTTP/2 is idle without a stream, and one of HTTP/1.1 between requests.
func connState(conn net.Conn, s http.ConnState) {
	c, ok := conn.(*replayed)
	if !ok {
		return
	}
	since := int64(0)
	if s == http.StateIdle {
		since = c.e.since(time.Now())
	}
	c.idle.Store(since)
}
