package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h2"
)

// parting is how a call leaves its upstream's end.
type parting uint8

const (
	partDone    parting = iota // the response has come in full
	partDiscard                // the upstream has said that it doesn't work on the request
	partBroken                 // nothing good can come any more
	partCut                    // the upstream may be working on the request
)

// cutFor is for how long the slot of a request that was cut is kept: over HTTP/1.1 less if the upstream ends the connection before,
// by which it says that it has noticed. HTTP/2 has no way to tell when an upstream is done with a stream that was reset.
const cutFor = time.Second

// upstreams has a shard's connections to upstreams.
type upstreams struct {
	s      *shard
	all    map[upstreamKey]*upstream // by keys without a protocol
	unused list[conn1, *conn1]       // the longest unused first
	parts  []*conn1                  // whose requests were cut, or whose responses are discarded, the oldest first
	cuts   []cut                     // of HTTP/2, the oldest first
}

// cut is a call whose slot is kept for a while.
type cut struct {
	x  *call
	at time.Time
}

// upstream is one, and what there is of connections to it.
type upstream struct {
	u       *upstreams
	key     upstreamKey
	refs    int      // connections and dials
	idle    []*conn1 // the last used at the end
	shared  []*conn2
	dialing *dialing // of HTTP/2
	waiting []*call  // for a stream, since every connection has as many as the upstream allows
	looking bool     // roomFor will be called
	recycling
}

// dialing is a connection that is being made, and who waits for it.
type dialing struct {
	up     *upstream
	proto  Proto
	calls  []*call
	begin  time.Time
	cancel context.CancelFunc
	conn   *conn2 // has been made; it isn't known yet whether it speaks HTTP/2
}

func (u *upstreams) init(s *shard) { u.s, u.all = s, make(map[upstreamKey]*upstream) }

func (u *upstreams) upstream(key upstreamKey) *upstream {
	up := u.all[key]
	if up == nil {
		up = &upstream{u: u, key: key}
		u.all[key] = up
	}
	return up
}

func (up *upstream) unref() {
	if up.refs--; up.refs == 0 && up.until.IsZero() && len(up.waiting) == 0 {
		delete(up.u.all, up.key)
	}
}

// connect finds or makes a connection for the attempt of x.
func (u *upstreams) connect(x *call) {
	t := &x.attempt
	up := u.upstream(upstreamKey{addr: t.upstream.Addr, tls: t.upstream.TLS})
	up.refs++ // while connections that can't be used are closed
	defer up.unref()
	proto := t.upstream.Proto
	if proto == SameProto && x.req.Proto == HTTP1 || x.req.Upgrade != "" {
		proto = HTTP1
	}
	x.proto = proto
	if proto == SameProto && !isGRPC(x.req.Header) && u.s.h.pool.http1Only.has(up.key) {
		proto = HTTP1
	}
	if proto == HTTP1 {
		up.connect1(x)
	} else {
		up.connect2(x)
	}
}

// connect1 finds a connection of HTTP/1.1. A request that can't be repeated gets no used one while the upstream recycles connections.
func (up *upstream) connect1(x *call) {
	now := up.u.s.loop.Now()
	fresh := now.Before(up.until) && !(x.result.Attempts <= 1 && idempotent(x.req.Method) && x.req.BodyHeld)
	for len(up.idle) > 0 {
		c := up.idle[len(up.idle)-1]
		up.remove(c)
		limit := up.u.s.h.cfg.IdleConnTimeout
		if c.keep > 0 && c.keep < limit {
			limit = c.keep
		}
		if fresh || now.Sub(c.since) >= limit || !c.conn.Quiet() {
			c.state = conn1Head // it is in no list
			c.close()
			if fresh {
				break
			}
			continue
		}
		c.x = x
		x.connected(c, true)
		return
	}
	up.dial(HTTP1, x)
}

// connect2 finds a stream, or a connection that is being made.
func (up *upstream) connect2(x *call) {
	c := up.withRoom()
	switch d := up.dialing; {
	case len(up.waiting) > 0: // they have come before
		up.queue(x)
	case c != nil:
		c.carry(x)
	case up.awaited():
		d.calls = append(d.calls, x)
		x.awaits = d
	case up.unusable():
		up.queue(x)
	default:
		up.dial(x.proto, x)
	}
}

// withRoom is a connection that takes one more request; nil: there is none.
func (up *upstream) withRoom() *conn2 {
	for _, c := range up.shared {
		if c.room() {
			return c
		}
	}
	return nil
}

// awaited reports that a connection of HTTP/2 is being made. An upstream that says nothing for as long as a dial may take holds up
// nobody but those who wait for it already.
func (up *upstream) awaited() bool {
	return up.dialing != nil && up.u.s.loop.Now().Sub(up.dialing.begin) < up.u.s.h.cfg.DialTimeout
}

// unusable reports that the upstream has a connection without a request, and takes none: another would be no better.
func (up *upstream) unusable() bool {
	return slices.ContainsFunc(up.shared, func(c *conn2) bool { return !c.leaving && !c.h2.Spent() && c.h2.Streams() == 0 })
}

// learn takes what became of a request for which it had to be found out what the upstream speaks.
func (u *upstreams) learn(x *call, err *Error) {
	if _, one := x.attempt.end.(*conn1); !one || x.proto != SameProto {
		return
	}
	known := &u.s.h.pool.http1Only
	key := upstreamKey{addr: x.attempt.upstream.Addr, tls: x.attempt.upstream.TLS}
	switch {
	case err == nil:
		known.add(key)
	case err.Reason == UpstreamClosed || err.Reason == BadResponse:
		known.forget(key) // who comes up in its place may be another
	}
}

// dial makes a connection.
func (up *upstream) dial(proto Proto, x *call) {
	u := up.u
	ctx, cancel := context.WithCancel(u.s.e.dials)
	d := &dialing{up: up, proto: proto, calls: []*call{x}, begin: u.s.loop.Now(), cancel: cancel}
	x.awaits = d
	up.refs++
	if proto != HTTP1 {
		up.dialing = d
	}
	key := up.key
	key.proto = proto
	u.s.e.all.Go(func() {
		conn, err := dialUpstream(ctx, &u.s.h.cfg, key)
		cancelled := ctx.Err() != nil
		cancel()
		if !u.s.loop.Post(func() { d.made(conn, err, cancelled) }) && err == nil {
			conn.Close()
		}
	})
}

// dialUpstream makes a connection for what key says. It blocks; ctx ends that.
func dialUpstream(ctx context.Context, cfg *Config, key upstreamKey) (net.Conn, error) {
	within, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	c, err := cfg.Dial(within, "tcp", key.addr)
	if err != nil {
		return nil, dialError(ctx, false, err)
	}
	if key.tls == nil {
		return c, nil
	}
	config := key.tls.Clone()
	switch key.proto {
	case HTTP1:
		config.NextProtos = []string{"http/1.1"}
	case HTTP2:
		config.NextProtos = []string{"h2"}
	default:
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(key.addr)
	}
	t := tls.Client(c, config)
	handshake, done := context.WithTimeout(ctx, cfg.DialTimeout)
	defer done()
	if err := t.HandshakeContext(handshake); err != nil {
		c.Close()
		return nil, dialError(ctx, true, err)
	}
	return t, nil
}

// forget takes a call out of whatever it waits for.
func (u *upstreams) forget(x *call) {
	if up := x.queuedAt; up != nil {
		x.queuedAt = nil
		up.waiting = slices.DeleteFunc(up.waiting, func(y *call) bool { return y == x })
	}
	d := x.awaits
	if d == nil {
		return
	}
	x.awaits = nil
	d.calls = slices.DeleteFunc(d.calls, func(y *call) bool { return y == x })
	if len(d.calls) == 0 {
		d.abandon()
	}
}

// abandon gives up a connection that nobody waits for any more.
func (d *dialing) abandon() {
	c := d.conn
	d.cancel()
	d.up.ends(d)
	if c != nil {
		c.end(errNoHTTP2)
	}
}

// ends says that no more calls wait for d.
func (up *upstream) ends(d *dialing) {
	d.conn = nil
	if up.dialing == d {
		up.dialing = nil
	}
	up.roomLater()
}

// made takes the connection that has been made, or why there is none.
func (d *dialing) made(conn net.Conn, err error, cancelled bool) {
	up := d.up
	s := up.u.s
	if err != nil {
		up.ends(d)
		if !cancelled {
			s.h.pool.http1Only.forget(up.key) // who comes up in its place may be another
		}
		for _, x := range d.take() {
			x.notConnected(asError(err), true)
		}
		up.unref()
		return
	}
	one := d.proto == HTTP1
	if t, ok := conn.(*tls.Conn); ok && d.proto == SameProto && t.ConnectionState().NegotiatedProtocol != "h2" {
		one = true
		s.h.pool.http1Only.add(up.key)
	}
	if one {
		d.made1(conn)
		return
	}
	c := &conn2{s: s, up: up, asking: d, since: s.loop.Now()}
	c.conn = s.loop.Add(conn, c)
	c.h2.Init(h2.Config{
		Client: true, StreamWindow: firstWindow, ConnWindow: 4 * upstreamWindow, MaxHead: maxAnswer, MaxFields: maxAnswerFields,
		MaxOut: maxOut, Intern: s.e.heads.text, Now: s.loop.Now, Spare: &s.spare,
	}, c, c.conn.Out())
	switch {
	case d.proto == HTTP2 || up.key.tls != nil: // it is known, or has been agreed on
		c.asking, c.spoken = nil, true
		up.answered(d, c)
	case len(d.calls) == 0:
		c.end(errNoHTTP2)
	default:
		d.conn, d.begin = c, s.loop.Now()
	}
}

// upstreamWindow is enough for 1 Gbit/s at 8 ms, and no more than a slow client can make us hold.
const upstreamWindow = 1 << 20

// maxAnswerFields bounds the fields of a response.
const maxAnswerFields = 2000

// take takes the calls that wait.
func (d *dialing) take() []*call {
	all := d.calls
	d.calls = nil
	for _, x := range all {
		x.awaits = nil
	}
	return all
}

// made1 hands a connection of HTTP/1.1 to whoever waits for it. The others ask for their own.
func (d *dialing) made1(conn net.Conn) {
	up := d.up
	up.ends(d)
	c := &conn1{s: up.u.s, up: up, state: conn1Head}
	c.conn = up.u.s.loop.Add(conn, c)
	given := false
	for _, x := range d.take() {
		switch {
		case d.proto != HTTP1 && isGRPC(x.req.Header):
			x.notConnected(errGRPC, false)
		case given:
			up.connect1(x)
		default:
			given = true
			c.x = x
			x.connected(c, false)
		}
	}
	if !given {
		c.park()
	}
}

// answered hands the calls that wait to a connection of which it is known that it speaks HTTP/2.
func (up *upstream) answered(d *dialing, c *conn2) {
	up.shared = append(up.shared, c)
	up.ends(d)
	for _, x := range d.take() {
		if c.room() {
			c.carry(x)
		} else {
			up.queue(x)
		}
	}
}

// queue has x wait for a stream, or for one more connection.
func (up *upstream) queue(x *call) {
	x.queuedAt = up
	up.waiting = append(up.waiting, x)
	up.roomLater()
}

// roomLater has roomFor called, if anybody waits; not from within the methods of a connection.
func (up *upstream) roomLater() {
	if len(up.waiting) > 0 && !up.looking {
		up.looking = up.u.s.loop.Post(up.roomFor)
	}
}

// roomFor gives those that wait a stream, the first come first, or makes a connection for one of them at a time.
func (up *upstream) roomFor() {
	up.looking = false
	for len(up.waiting) > 0 {
		c := up.withRoom()
		if c == nil && (up.awaited() || up.unusable()) {
			return
		}
		x := up.waiting[0]
		up.waiting = slices.Delete(up.waiting, 0, 1)
		x.queuedAt = nil
		if c != nil {
			c.carry(x)
		} else {
			up.dial(x.proto, x)
		}
	}
}

// unanswered takes it that an upstream doesn't speak HTTP/2.
func (up *upstream) unanswered(d *dialing, why *Error) {
	up.ends(d)
	answered := errors.Is(why, errHTTP1Only)
	if answered {
		up.u.s.h.pool.http1Only.add(up.key)
	}
	for _, x := range d.take() {
		switch grpc := isGRPC(x.req.Header); {
		case d.proto == HTTP2:
			x.notConnected(why, true)
		case answered && grpc:
			x.notConnected(errGRPC, false)
		case !answered && (grpc || why != errNoHTTP2):
			x.notConnected(why, true)
		default:
			up.connect1(x)
		}
	}
}

func (up *upstream) removeShared(c *conn2) {
	up.shared = slices.DeleteFunc(up.shared, func(d *conn2) bool { return d == c })
	up.roomLater()
}

// keep keeps an unused connection.
func (up *upstream) keep(c *conn1) {
	u := up.u
	cfg := &u.s.h.cfg
	if u.s.e.closing.Load() || len(up.idle) >= cfg.MaxIdleConnsPerHost || cfg.MaxIdleConns < 0 {
		c.state = conn1Head
		c.close()
		return
	}
	up.idle = append(up.idle, c)
	u.unused.push(c)
	if u.unused.n > cfg.MaxIdleConns {
		u.unused.first.close()
	}
	u.s.loop.Wake(c.since.Add(roundEvery))
}

// remove takes a connection out of the unused ones.
func (up *upstream) remove(c *conn1) {
	if i := slices.Index(up.idle, c); i >= 0 {
		up.idle = slices.Delete(up.idle, i, i+1)
		up.u.unused.remove(c)
	}
}

// parted keeps an eye on a connection whose request was cut.
func (u *upstreams) parted(c *conn1) {
	u.parts = append(u.parts, c)
	u.s.loop.Wake(c.until)
}

// cut keeps the slot of a call for a while.
func (u *upstreams) cut(x *call) {
	at := u.s.loop.Now().Add(cutFor)
	u.cuts = append(u.cuts, cut{x, at})
	u.s.loop.Wake(at)
}

// retireLater has a connection closed that isn't to be used any more, once it carries nothing; not from within its own methods.
func (u *upstreams) retireLater(c *conn2) {
	if c.leaving {
		u.s.loop.Post(c.retire)
	}
}

// tick does what the time has come for.
func (u *upstreams) tick(now time.Time) {
	for len(u.parts) > 0 && (!u.parts[0].parting() || !now.Before(u.parts[0].until)) {
		c := u.parts[0]
		u.parts = u.parts[1:]
		if c.parting() {
			c.close()
		}
	}
	for len(u.cuts) > 0 && !now.Before(u.cuts[0].at) {
		x := u.cuts[0].x
		u.cuts = u.cuts[1:]
		x.freed()
	}
	u.expire(now)
	if len(u.parts) > 0 {
		u.s.loop.Wake(u.parts[0].until)
	}
	if len(u.cuts) > 0 {
		u.s.loop.Wake(u.cuts[0].at)
	}
}

// expire closes what has been unused for too long, and forgets which upstreams recycled.
func (u *upstreams) expire(now time.Time) {
	limit := u.s.h.cfg.IdleConnTimeout
	for c := u.unused.first; c != nil && now.Sub(c.since) >= limit; c = u.unused.first {
		c.close()
	}
	for _, up := range u.all {
		if up.refs == 0 && len(up.waiting) == 0 && up.over(now) {
			delete(u.all, up.key)
		}
		for _, c := range up.shared {
			if c.h2.Streams() == 0 && now.Sub(c.since) >= limit {
				c.leaving = true
				u.retireLater(c)
			}
		}
	}
	if len(u.all) > 0 {
		u.s.loop.Wake(now.Add(roundEvery))
	}
}

// close ends the connections that are unused, and waits no longer for what upstreams make of requests that were cut.
func (u *upstreams) close() {
	for _, c := range u.parts {
		if c.parting() {
			c.close()
		}
	}
	for _, cut := range u.cuts {
		cut.x.freed()
	}
	u.parts, u.cuts = nil, nil
	for _, up := range u.all {
		for len(up.idle) > 0 {
			up.idle[len(up.idle)-1].close()
		}
		for _, c := range slices.Clone(up.shared) {
			c.leaving = true
			c.retire()
		}
	}
}

func (c *conn1) link() *links[conn1] { return &c.links }
