package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/h2"
	"github.com/sluice-proxy/sluice/proxy/internal/hpack"
	"github.com/sluice-proxy/sluice/proxy/internal/loop"
)

// clientConn is a client's connection of HTTP/2. It is its shard's, but for what the engine keeps of it.
type clientConn struct {
	s      *shard
	conn   *loop.Conn
	h2     h2.Conn
	remote string
	peer   string
	tls    *tls.Conn // nil: in the clear

	open      int       // requests
	idleSince time.Time // when there were none last
	leaving   bool      // it has been told to make no further requests
	leaveBy   time.Time // it is closed then, if it is idle
	closed    bool

	born int64        // by the engine's clock
	idle atomic.Int64 // since then, by the engine's clock; 0: it isn't
	booking
	holding
	partial partial

	links[clientConn] // in shard.clients
}

// serveHTTP2 takes over a connection on which HTTP/2 has begun, with what has been read of it.
func (s *shard) serveHTTP2(c *clientConn, conn net.Conn, read []byte) {
	c.s = s
	c.conn = s.loop.Add(conn, c)
	c.conn.Unread(read)
	c.h2.Init(h2.Config{
		MaxStreams:   uint32(s.e.cfg.MaxStreams),
		StreamWindow: int32(min(s.e.cfg.StreamWindow, firstWindow)),
		ConnWindow:   int32(min(max(4*s.e.cfg.StreamWindow, 64<<10), 4<<20-1)),
		MaxHead:      s.e.cfg.MaxHead,
		MaxFields:    s.e.cfg.MaxFields,
		Connect:      true,
		MaxOut:       maxOut,
		Intern:       s.e.heads.text,
		Now:          s.loop.Now,
		Spare:        &s.spare,
	}, c, c.conn.Out())
	s.clients.push(c)
	c.unfinished(0, 0) // its preface and SETTINGS
	c.idleSince = s.loop.Now()
	c.idle.Store(c.born)
	c.s.loop.Wake(c.idleSince.Add(s.e.cfg.IdleTimeout))
	if s.draining {
		c.leave()
	}
}

// maxOut is how much may wait to be sent on a connection of HTTP/2 before its streams wait.
const maxOut = 64 << 10

// Input implements loop.Handler.
func (c *clientConn) Input(p []byte) (n int) {
	c.conn.Out()
	n, err := c.h2.Input(p)
	switch {
	case err != nil:
		c.end(err)
		return len(p)
	case c.h2.Blocked():
		c.conn.Pause()
	case c.leaving:
		c.leaves(c.s.loop.Now())
	}
	if !c.closed {
		c.unfinished(n, len(p)-n)
	}
	return n
}

// Hangup implements loop.Handler. A client of HTTP/2 that has closed its half has gone.
func (c *clientConn) Hangup() { c.Ended(nil) }

// Ended implements loop.Handler.
func (c *clientConn) Ended(err error) { c.end(err) }

// Drained implements loop.Handler.
func (c *clientConn) Drained() {
	c.conn.Out()
	c.h2.Drained()
	if !c.h2.Blocked() {
		c.conn.Resume()
	}
}

// end ends the connection and everything on it.
func (c *clientConn) end(err error) {
	if c.closed {
		return
	}
	c.closed = true
	c.s.clients.remove(c)
	c.h2.Abandon(h2.Cancel)
	c.hold(-c.partial.size)
	if c.partial.size = 0; err != nil && c.conn.Full() {
		c.conn.Abort() // who hasn't read all that won't read why, and there is no bound on those that are being closed
	} else {
		c.conn.Close()
	}
	c.s.e.forgetHTTP2(c)
}

// close says why and ends the connection.
func (c *clientConn) close(code h2.Code) {
	c.conn.Out()
	c.h2.Close(code)
	c.end(nil)
}

// leave tells the client to make no further requests here, and ends the connection once those that it has made are answered.
func (c *clientConn) leave() {
	if c.leaving || c.closed {
		return
	}
	c.leaving, c.leaveBy = true, c.s.loop.Now().Add(freshGrace)
	c.conn.Out()
	c.h2.Shutdown()
	c.s.leaving = append(c.s.leaving, c)
	c.s.loop.Wake(c.leaveBy)
}

// leaves ends the connection if it has been told so and has nothing left to do.
func (c *clientConn) leaves(now time.Time) {
	if c.leaving && !c.closed && c.open == 0 && (c.h2.Done() || !now.Before(c.leaveBy)) {
		c.close(h2.NoError)
	}
}

// driver and window implement streamConn.
func (c *clientConn) driver() *loop.Conn { return c.conn }
func (c *clientConn) window() int        { return c.s.e.cfg.StreamWindow }

// streamEnds implements streamConn.
func (c *clientConn) streamEnds() {
	if c.open--; c.open > 0 || c.closed {
		return
	}
	c.becomeIdle()
	if c.leaving {
		c.s.loop.Post(func() { c.leaves(c.s.loop.Now()) })
	}
}

func (c *clientConn) becomeIdle() {
	c.idleSince = c.s.loop.Now()
	c.idle.Store(c.s.e.since(c.idleSince))
	if c.s.clients.last != c {
		c.s.clients.remove(c)
		c.s.clients.push(c)
	}
}

// Request implements h2.Handler.
func (c *clientConn) Request(s *h2.Stream, r *h2.Request, end bool) {
	c.idle.Store(0)
	c.open++
	x := c.s.call()
	s.User = x
	x.stream = clientStream{streamSide{on: c, s: s, x: x, received: end}, c}
	x.client = &x.stream
	x.fields = append(x.fields[:0], r.Fields...)
	x.remote, x.peer, x.inside = c.remote, c.peer, c.tls
	x.up.start(x.client, true)
	if end {
		x.up.ended = true
	}
	x.begin(r, end)
}

// begin makes x the call of a request of HTTP/2.
func (x *call) begin(r *h2.Request, end bool) {
	h := x.s.h
	header := Header{list: &x.fields}
	o, err := header.endConnection(h.cfg.EndToEnd)
	length := r.Length
	if end {
		length = 0
	}
	x.te = o.trailers
	if i := x.fields.Find("Expect", 0); i >= 0 && length != 0 {
		x.expect = h1.EqualFold(x.fields[i].Value, "100-continue")
	}
	x.req = Request{
		Method: r.Method, Target: r.Path, Host: r.Authority, Proto: HTTP2, Header: header, RemoteAddr: x.remote,
		ContentLength: length, BodyHeld: holds(length), Arrived: x.s.loop.Now(), ex: x,
	}
	x.target, x.hasLength = r.Path, r.Length >= 0
	if r.Protocol == "websocket" { // RFC 8441 §5: what an Upgrade is in HTTP/1.1, and so it is to the policy and upstream
		x.req.Method, x.req.Upgrade = http.MethodGet, r.Protocol
		x.req.ContentLength, x.req.BodyHeld, x.hasLength, x.expect = 0, true, false, false
		x.fields.DelKinds(framingKinds | 1<<h1.Expect)
		x.fields.Del("Sec-WebSocket-Key")
	}
	x.headSize = perCall
	for i := range x.fields {
		x.headSize += int64(len(x.fields[i].Name) + len(x.fields[i].Value))
	}
	switch {
	case !x.account():
		x.reject(x.s.e.noSpace())
	case err != nil:
		x.refuse(tooManyOptions.with(""))
	case x.req.Method == http.MethodConnect:
		x.refuse(connectMethod.with(""))
	case len(r.Path) > x.s.e.cfg.MaxTarget:
		x.reject(x.s.e.cfg.exceeded(h1.ErrLineTooLong))
	default:
		x.s.ready(x)
	}
}

// refuse answers a request without its policy.
func (x *call) refuse(err *Error) {
	a := errorAnswer(x.s.h.cfg.Name, err, isGRPC(x.req.Header))
	x.stream.answer(&a, x.req.Method == http.MethodHead)
	x.client = nil
	x.s.free(x)
}

// reject does so for one that is beyond a limit.
func (x *call) reject(err *Error) {
	x.refuse(err)
	if f := x.s.e.cfg.OnRejected; f != nil {
		f(x.remote, err)
	}
}

// Oversized implements h2.Handler.
func (c *clientConn) Oversized(s *h2.Stream, err error) {
	e := c.s.e.cfg.exceeded(h1.ErrHeadTooLarge)
	if errors.Is(err, hpack.ErrTooMany) {
		e = c.s.e.cfg.exceeded(h1.ErrFields)
	}
	a := errorAnswer(c.s.h.cfg.Name, e, false)
	c.open++
	st := clientStream{streamSide{on: c, s: s}, c}
	st.answer(&a, false)
	if f := c.s.e.cfg.OnRejected; f != nil {
		f(c.remote, e)
	}
}

// Data implements h2.Handler.
func (c *clientConn) Data(s *h2.Stream, p []byte, end bool) {
	if x, ok := s.User.(*call); ok {
		x.stream.receive(end)
		c.s.deadlines.touch(x)
		x.up.put(p, end)
		x.bounded()
	}
}

// Trailers implements h2.Handler.
func (c *clientConn) Trailers(s *h2.Stream, f h1.Fields) {
	if x, ok := s.User.(*call); ok {
		x.stream.receive(true)
		c.s.h.private.stripTrailers(Header{list: &f})
		x.up.putTrailers(f)
	}
}

// Reset implements h2.Handler.
func (c *clientConn) Reset(s *h2.Stream, _ h2.Code) {
	if x, ok := s.User.(*call); ok {
		x.stream.gone()
	}
}

// Writable implements h2.Handler.
func (c *clientConn) Writable(s *h2.Stream) {
	if x, ok := s.User.(*call); ok {
		x.down.flush()
		x.passed()
		x.account()
	}
}

// Settings and GoAway implement h2.Handler; they are for clients.
func (c *clientConn) Settings() {}

// GoAway implements h2.Handler: a client says that it leaves.
func (c *clientConn) GoAway(uint32, h2.Code) {}

// Response implements h2.Handler; clients send none.
func (c *clientConn) Response(*h2.Stream, int, h1.Fields, bool) {}

// clientStream is a call's end on a connection of HTTP/2.
type clientStream struct {
	streamSide
	c *clientConn
}

// gone is the news that the client has ended the stream.
func (t *clientStream) gone() {
	t.forget()
	t.x.clientGone()
}

func (t *clientStream) invite() { t.interim(&head{status: http.StatusContinue}) }

func (t *clientStream) interim(r *head) {
	if t.s != nil {
		r.fields.DelKinds(framingKinds)
		t.c.conn.Out()
		t.s.WriteHead(r.status, r.fields, false)
	}
}

func (t *clientStream) respond(r *head, end bool) {
	if t.s == nil {
		return
	}
	if r.status == http.StatusSwitchingProtocols {
		r.status, r.length = http.StatusOK, -1
		r.fields.Del("Sec-WebSocket-Accept")
	}
	skip := connectionKinds | framingKinds
	if end {
		skip |= 1 << h1.Trailer
	}
	r.fields.DelKinds(skip)
	if r.length >= 0 && r.status != http.StatusNoContent {
		r.fields = append(r.fields, h1.Field{Name: "content-length", Value: strconv.FormatInt(r.length, 10), Kind: h1.ContentLength})
	}
	t.c.conn.Out()
	t.s.WriteHead(r.status, r.fields, end)
	if t.c.s.h.draining.Load() {
		t.c.leave()
	}
	t.send(end)
}

func (t *clientStream) leave(why *Error) {
	if t.s == nil {
		return
	}
	code := h2.InternalError
	switch {
	case why == nil:
		code = h2.NoError // RFC 9113 §8.1: the rest of the request isn't needed
	case why.Reason == ClientGone:
		code = h2.Cancel
	}
	t.c.conn.Out()
	t.s.Reset(code)
	t.forget()
}

// answer writes a response to what is no call.
func (t *clientStream) answer(a *ownAnswer, bodiless bool) {
	s := t.s
	r := head{status: a.status, fields: t.c.s.ownHead(a), length: int64(a.length)}
	bodiless = bodiless || a.body == ""
	t.respond(&r, bodiless)
	if !bodiless {
		t.data([]byte(a.body), true)
	}
	if t.s != nil { // a client that takes no answer gets none
		t.c.conn.Out()
		s.Reset(h2.NoError)
		t.forget()
	}
}

func (c *clientConn) link() *links[clientConn] { return &c.links }

// closeIdle ends the connections that have been without a request for too long.
func (s *shard) closeIdle(now time.Time) {
	for range s.clients.n { // each once: those with requests go to the end
		c := s.clients.first
		if now.Sub(c.idleSince) < s.e.cfg.IdleTimeout {
			break
		}
		if c.open > 0 {
			c.becomeIdle() // later; it isn't now
			c.idle.Store(0)
			continue
		}
		c.close(h2.NoError)
	}
	for _, c := range s.leaving {
		c.leaves(now)
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(c *clientConn) bool { return c.closed })
	for _, c := range s.leaving {
		if now.Before(c.leaveBy) {
			s.loop.Wake(c.leaveBy)
		}
	}
	if c := s.clients.first; c != nil {
		s.loop.Wake(c.idleSince.Add(s.e.cfg.IdleTimeout))
	}
}
