package proxy

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/h2"
	"github.com/sluice-proxy/sluice/proxy/internal/loop"
)

// conn2 is a connection to an upstream, HTTP/2 on it, which many calls share.
type conn2 struct {
	s       *shard
	up      *upstream
	conn    *loop.Conn
	h2      h2.Conn
	asking  *dialing // until it is known that the upstream speaks HTTP/2
	spoken  bool     // something has come
	used    bool
	leaving bool // no more requests are sent here
	closed  bool
	why     *Error // for those that are on it
	since   time.Time
}

// Input implements loop.Handler.
func (c *conn2) Input(p []byte) int {
	if !c.spoken {
		if len(p) <= frameType && string(p) != versions[:len(p)] {
			return 0
		}
		if c.spoken = true; p[min(frameType, len(p)-1)] != frameSettings || len(p) <= frameType {
			c.end(errHTTP1Only)
			return len(p)
		}
	}
	c.conn.Out()
	n, err := c.h2.Input(p)
	if c.h2.Blocked() {
		c.conn.Pause()
	}
	if err != nil {
		c.end(&Error{Reason: BadResponse, Err: err})
		return len(p)
	}
	return n
}

// Hangup implements loop.Handler: what the upstream has said before is read first.
func (c *conn2) Hangup() { c.leaving = true }

// Ended implements loop.Handler.
func (c *conn2) Ended(err error) {
	switch {
	case !c.spoken && c.asking != nil:
		c.end(errNoHTTP2)
	case err == nil:
		c.end(&Error{Reason: UpstreamClosed, Err: errUpstreamClosed})
	default:
		c.end(&Error{Reason: UpstreamClosed, Err: err})
	}
}

// Drained implements loop.Handler.
func (c *conn2) Drained() {
	c.conn.Out()
	c.h2.Drained()
	if !c.h2.Blocked() {
		c.conn.Resume()
	}
}

// end ends the connection, and the attempts on it.
func (c *conn2) end(why *Error) {
	if c.closed {
		return
	}
	c.closed, c.leaving = true, true
	c.conn.Close()
	c.up.removeShared(c)
	c.why = why
	c.h2.Abandon(h2.InternalError)
	if d := c.asking; d != nil {
		c.asking = nil
		c.up.unanswered(d, why)
	}
	c.up.unref()
}

// truncates is why, unless a response had begun.
func (c *conn2) truncates(x *call, why *Error) *Error {
	if x.responded && why.Reason == UpstreamClosed {
		return &Error{Reason: ResponseTruncated, Err: why.Err}
	}
	return why
}

// retire closes the connection once it carries nothing.
func (c *conn2) retire() {
	if c.leaving && !c.closed && c.h2.Streams() == 0 {
		c.conn.Out()
		c.h2.Close(h2.NoError)
		c.end(&Error{Reason: UpstreamClosed, Err: errUpstreamClosed})
	}
}

// carry opens a stream for x.
func (c *conn2) carry(x *call) {
	x.upstream2 = upstreamStream{streamSide: streamSide{on: c, x: x}, c: c}
	reused := c.used
	c.used = true
	x.connected(&x.upstream2, reused)
}

// driver, window and streamEnds implement streamConn.
func (c *conn2) driver() *loop.Conn { return c.conn }
func (c *conn2) window() int        { return upstreamWindow }
func (c *conn2) streamEnds()        {}

// room says that one more request can be sent.
func (c *conn2) room() bool { return !c.leaving && c.h2.CanOpen() }

// Settings implements h2.Handler.
func (c *conn2) Settings() {
	if d := c.asking; d != nil {
		c.asking = nil
		c.up.answered(d, c)
		return
	}
	c.up.roomLater()
}

// GoAway implements h2.Handler.
func (c *conn2) GoAway(uint32, h2.Code) {
	c.leaving = true
	c.up.removeShared(c)
	c.s.upstreams.retireLater(c)
}

// Response implements h2.Handler.
func (c *conn2) Response(s *h2.Stream, status int, f h1.Fields, end bool) {
	x, ok := s.User.(*call)
	if !ok {
		return
	}
	r := &x.head
	*r = head{status: status, fields: f, length: lengthOf(f)}
	if status < 200 {
		x.interim(r)
		return
	}
	x.upstream2.receive(end)
	x.respond(r, end)
}

// Data implements h2.Handler.
func (c *conn2) Data(s *h2.Stream, p []byte, end bool) {
	if x, ok := s.User.(*call); ok {
		x.upstream2.receive(end)
		x.give(p, end)
	}
}

// Trailers implements h2.Handler.
func (c *conn2) Trailers(s *h2.Stream, f h1.Fields) {
	if x, ok := s.User.(*call); ok {
		x.upstream2.receive(true)
		x.giveTrailers(f)
	}
}

// Reset implements h2.Handler.
func (c *conn2) Reset(s *h2.Stream, code h2.Code) {
	if x, ok := s.User.(*call); ok {
		received := x.upstream2.received
		x.upstream2.forget()
		if received { // RFC 9113 §8.1: it only doesn't want the rest of the request
			return
		}
		if c.why != nil {
			x.lost(c.truncates(x, c.why), false)
			return
		}
		e := &Error{Reason: UpstreamClosed, Err: fmt.Errorf("the upstream reset the stream: %v", code)}
		if code == h2.ProtocolError {
			e.Reason = BadResponse
		}
		x.lost(c.truncates(x, e), code == h2.RefusedStream)
	}
	c.retire()
}

// Writable implements h2.Handler.
func (c *conn2) Writable(s *h2.Stream) {
	if x, ok := s.User.(*call); ok {
		x.up.flush()
		x.account()
	}
}

// Request and Oversized implement h2.Handler; upstreams send none.
func (c *conn2) Request(*h2.Stream, *h2.Request, bool) {}

// Oversized implements h2.Handler.
func (c *conn2) Oversized(s *h2.Stream, err error) {
	if x, ok := s.User.(*call); ok {
		s.Reset(h2.Cancel)
		x.upstream2.forget()
		x.lost(&Error{Reason: BadResponse, Err: err}, false)
	}
}

// upstreamStream is a call's end on a connection to an upstream.
type upstreamStream struct {
	streamSide
	c     *conn2
	begun int64 // bytes that go before the request's
}

func (t *upstreamStream) request(end bool) {
	x, u := t.x, &t.x.attempt.upstream
	scheme := "http"
	if u.TLS != nil {
		scheme = "https"
	}
	t.begun = t.c.conn.Appended()
	r := h2.Request{Method: x.req.Method, Scheme: scheme, Authority: cmp.Or(u.Host, x.req.Host, u.Addr), Path: x.target}
	r.Fields = x.s.requestFields(x)
	t.c.conn.Out()
	t.s = t.c.h2.Open(&r, end)
	t.s.User = x
	t.send(end)
}

// requestFields are those of a request as it goes on in HTTP/2. They are good until the next.
func (s *shard) requestFields(x *call) h1.Fields {
	f := s.scratch[:0]
	for i := range x.fields {
		if !(connectionKinds | framingKinds | 1<<h1.Host | 1<<h1.XForwardedFor).Has(x.fields[i].Kind) {
			f = append(f, x.fields[i])
		}
	}
	if x.hasLength { // whatever the policy has made of the field
		f = append(f, h1.Field{Name: "content-length", Value: strconv.FormatInt(x.req.ContentLength, 10), Kind: h1.ContentLength})
	}
	var few [4]string
	switch all := x.req.Header.appendForwarded(few[:0], x.peer); len(all) {
	case 0:
	case 1:
		f = append(f, h1.Field{Name: "x-forwarded-for", Value: all[0], Kind: h1.XForwardedFor})
	default:
		f = append(f, h1.Field{Name: "x-forwarded-for", Value: strings.Join(all, ", "), Kind: h1.XForwardedFor})
	}
	if x.te {
		f = append(f, h1.Field{Name: "te", Value: "trailers", Kind: h1.TE})
	}
	s.scratch = f
	return f
}

func (t *upstreamStream) unsent() bool { return t.c.conn.Wrote() <= t.begun }

func (t *upstreamStream) leave(how parting) (free bool) {
	c := t.c
	c.since = c.s.loop.Now()
	c.leaving = c.leaving || c.h2.Spent()
	if t.s != nil {
		free = how != partCut // what hasn't been sent yet will be
		t.c.conn.Out()
		t.s.Reset(h2.Cancel)
		t.forget()
		if !free {
			c.s.upstreams.cut(t.x)
		}
	} else {
		free = true
	}
	c.s.upstreams.retireLater(c)
	c.up.roomLater()
	return free
}
