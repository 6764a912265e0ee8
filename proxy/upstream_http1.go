package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/loop"
)

// conn1 is a connection to an upstream, HTTP/1.1 on it. It is one call's at a time, or unused.
type conn1 struct {
	s    *shard
	up   *upstream
	conn *loop.Conn
	x    *call // nil: unused, or done with

	state   conn1State
	partial []byte // of a head that is larger than what is read at once
	scanned int    // of the next head
	begun   int64  // what had been written when the request began
	chunked bool   // the request's body is
	sent    bool   // the request has been, in full
	key     string // of the websocket that was asked for
	paused  bool
	r       h1.Response
	body    h1.Body
	chunks  h1.Chunks
	trail   h1.Fields
	reuse   bool
	until   time.Time // parted: its slot is free then; discard: it is closed then
	cut     *call     // parted: whose slot it is
	since   time.Time // unused since then
	keep    time.Duration
	discard int64 // bytes that are read at most only to keep the connection

	links[conn1] // in upstreams.unused
}

type conn1State uint8

const (
	conn1Unused  conn1State = iota
	conn1Head               // the head of a response is to come
	conn1Body               // its body
	conn1Discard            // the rest of a body that nobody wants
	conn1Parted             // the request was cut: whatever comes is thrown away
	conn1Closed
)

// request implements upstreamSide.
func (c *conn1) request(end bool) {
	x := c.x
	c.state, c.scanned, c.sent = conn1Head, 0, end
	c.begun = c.conn.Appended()
	u := &x.attempt.upstream
	b := h1.AppendRequestLine(*c.conn.Out(), x.req.Method, x.target, 1)
	b = h1.AppendField(b, "Host", cmp.Or(u.Host, x.req.Host, u.Addr))
	c.chunked = !end && x.req.ContentLength < 0
	skip := connectionKinds | framingKinds | 1<<h1.Host | 1<<h1.XForwardedFor
	if !c.chunked {
		skip |= 1 << h1.Trailer
	}
	b = appendCanonical(b, x.fields, skip)
	var few [4]string
	if all := x.req.Header.appendForwarded(few[:0], x.peer); len(all) > 0 {
		b = h1.AppendList(b, "X-Forwarded-For", all)
	}
	switch {
	case c.chunked:
		b = h1.AppendChunked(b)
	case x.req.ContentLength > 0 || x.hasLength:
		b = h1.AppendLength(b, x.req.ContentLength)
	}
	if x.te {
		b = h1.AppendField(b, "TE", "trailers")
	}
	if c.key = ""; x.req.Upgrade != "" {
		c.key = websocketKey()
		b = h1.AppendField(b, "Upgrade", x.req.Upgrade)
		b = h1.AppendField(b, "Sec-WebSocket-Key", c.key)
	}
	if options := connectionOptions(x.te, x.req.Upgrade != ""); options != "" {
		b = h1.AppendField(b, "Connection", options)
	}
	*c.conn.Out() = h1.AppendEnd(b)
}

// appendCanonical appends field lines with the names in canonical form, since those of HTTP/2 are in lower case and some programs
// compare them as they have always been written.
func appendCanonical(b []byte, f h1.Fields, skip h1.Kinds) []byte {
	for i := range f {
		if x := &f[i]; !skip.Has(x.Kind) {
			at := len(b)
			b = h1.AppendField(b, x.Name, x.Value)
			upper := true
			for j := at; j < at+len(x.Name); j++ {
				if ch := b[j]; upper && 'a' <= ch && ch <= 'z' {
					b[j] = ch - 'a' + 'A'
				} else if !upper && 'A' <= ch && ch <= 'Z' {
					b[j] = ch - 'A' + 'a'
				}
				upper = b[j] == '-'
			}
		}
	}
	return b
}

// data implements taker.
func (c *conn1) data(p []byte, end bool) int {
	if c.state == conn1Closed {
		return len(p) // it has answered in full, and gone
	}
	if c.conn.Full() && len(p) > 0 {
		if c.conn.Flush(); c.conn.Full() {
			return 0
		}
	}
	c.s.deadlines.touch(c.x)
	out := c.conn.Out()
	switch {
	case !c.chunked:
		*out = append(*out, p...)
	case len(p) > 0:
		*out = append(append(h1.AppendChunkSize(*out, len(p)), p...), "\r\n"...)
	}
	if end {
		if c.chunked {
			*out = h1.AppendLastChunk(*out, nil)
		}
		c.sent = true
		c.endWebsocket()
	}
	return len(p)
}

// endWebsocket passes the end of the client's half on.
func (c *conn1) endWebsocket() {
	if c.key != "" {
		c.conn.CloseWrite()
	}
}

// trailers implements taker. Behind a length there can be none (RFC 9110 §6.5.1).
func (c *conn1) trailers(f h1.Fields) {
	if c.chunked && c.state != conn1Closed {
		out := c.conn.Out()
		*out = appendCanonical(append(*out, "0\r\n"...), f, 0)
		*out = h1.AppendEnd(*out)
	}
	c.sent = true
	c.endWebsocket()
}

// credit implements giver.
func (c *conn1) credit(_, held int) {
	if c.paused && held == 0 {
		c.paused = false
		c.conn.Resume()
	}
}

// unsent implements upstreamSide.
func (c *conn1) unsent() bool { return c.conn.Wrote() <= c.begun }

// Input implements loop.Handler.
func (c *conn1) Input(p []byte) (n int) {
	for {
		switch c.state {
		case conn1Head:
			used, ok := c.head(p[n:])
			n += used
			if !ok {
				return n
			}
		case conn1Body, conn1Discard:
			used, ok := c.content(p[n:])
			n += used
			if !ok {
				return n
			}
		case conn1Unused:
			if n < len(p) { // nobody has asked
				c.close()
			}
			return len(p)
		default:
			return len(p)
		}
	}
}

// head looks for a head at the start of p; ok says that what follows it may be looked at.
func (c *conn1) head(p []byte) (used int, ok bool) {
	before := len(c.partial)
	if before > 0 {
		c.partial = append(c.partial, p...)
		p = c.partial
	}
	if len(p) > 0 {
		c.x.firstByte()
	}
	end, next, err := h1.HeadEnd(p, c.scanned, true)
	c.scanned = next
	if string(p[:min(len(p), len(versions))]) != versions[:min(len(p), len(versions))] {
		err = h1.ErrStatusLine // perhaps no HTTP at all: its head might never end
	}
	if err == nil && end == 0 && len(p) > maxAnswer {
		err = h1.ErrHeadTooLarge
	}
	if err == nil && end == 0 {
		if before == 0 && len(p) < gatherFrom {
			return 0, false
		}
		c.partial = append(c.partial[:0], p...)
		return len(p) - before, false
	}
	if err == nil {
		c.scanned = 0
		err = c.r.Parse(c.s.e.heads.text(p[:end]))
		c.partial = nil
	}
	if err != nil {
		c.broken(&Error{Reason: BadResponse, Err: fmt.Errorf("the upstream's answer can't be used: %w", err)})
		return len(p) - before, false
	}
	end -= before
	r := &c.x.head
	*r = head{status: c.r.Status, reason: c.r.Reason, fields: c.r.Fields, length: c.r.Length}
	if c.r.Status < 200 && c.r.Status != http.StatusSwitchingProtocols {
		r.fields.DelKinds(framingKinds)
		c.x.interim(r)
		return end, true
	}
	if c.r.Status == http.StatusSwitchingProtocols && c.key != "" && !c.accepted() {
		c.broken(malformed("101 without the Sec-WebSocket-Accept of the key"))
		return end, false
	}
	c.frame()
	c.state = conn1Body
	c.reuse = !c.r.Doubtful && !(c.body.Left() < 0 && !c.body.Chunked())
	x := c.x
	if wanted := x.respond(r, c.body.Done()); wanted || c.x != x {
		return end, true
	}
	return end, c.state == conn1Discard
}

// gatherFrom is the size from which what there is of a head is kept here, since the loop reads 64 KiB at most.
const gatherFrom = 32 << 10

// accepted reports that the upstream has agreed to the websocket.
func (c *conn1) accepted() bool {
	i := c.r.Fields.Find("Sec-WebSocket-Accept", 0)
	return i >= 0 && c.r.Fields[i].Value == websocketAccept(c.key)
}

// frame finds out what is to come behind a head (RFC 9112 §6.3).
func (c *conn1) frame() {
	switch r := &c.r; {
	case c.x.req.Method == http.MethodHead, r.Status == http.StatusNoContent, r.Status == http.StatusNotModified:
		c.body.Start(0)
	case r.Status == http.StatusSwitchingProtocols:
		c.body.Start(-1)
	case r.Chunked:
		c.body.StartChunked(&c.chunks)
	default:
		c.body.Start(r.Length)
	}
}

// content takes what there is of a body.
func (c *conn1) content(p []byte) (used int, ok bool) {
	if c.body.Done() {
		return 0, c.state == conn1Unused && len(p) > 0
	}
	if len(p) == 0 {
		return 0, false
	}
	nd, ns, err := c.body.Decode(p, p)
	if err != nil {
		c.broken(&Error{Reason: ResponseTruncated, Err: err})
		return len(p), false
	}
	if ns < len(p) && c.body.Done() {
		c.reuse = false // more than was asked for
	}
	done := c.body.Done()
	if c.state == conn1Discard {
		if c.discard -= int64(ns); done && c.reuse {
			c.park()
		} else if done || c.discard <= 0 {
			c.close()
		}
		return ns, false
	}
	c.deliver(p[:nd], done)
	return ns, c.state == conn1Body && !done
}

// deliver hands on content, and the end.
func (c *conn1) deliver(p []byte, done bool) {
	x := c.x
	if done && c.body.Chunked() {
		c.trail = c.trail[:0]
		if _ = c.body.Trailers(&c.trail); len(c.trail) > 0 { // has been checked
			if len(p) > 0 {
				x.give(p, false)
			}
			if c.x == x {
				x.giveTrailers(c.trail)
			}
			return
		}
	}
	x.give(p, done)
	if c.x == x && x.down.held() > 0 && !c.paused {
		c.paused = true
		c.conn.Pause()
	}
}

// Hangup implements loop.Handler: what the upstream has said before is read first.
func (c *conn1) Hangup() {}

// Ended implements loop.Handler.
func (c *conn1) Ended(err error) {
	switch {
	case c.state == conn1Body && c.body.Done(): // the client hasn't taken all of it yet
		c.close()
		return
	case c.state == conn1Body && err == nil && c.body.Left() < 0 && !c.body.Chunked():
		c.reuse = false
		c.body.Start(0)
		c.deliver(nil, true)
		return
	}
	if err == nil {
		err = errUpstreamClosed
	}
	why := &Error{Reason: UpstreamClosed, Err: err}
	if c.state == conn1Body {
		why = truncated(err)
	}
	if c.state == conn1Head && c.x != nil && c.x.attempt.out.Reused && c.x.attempt.out.FirstByte == 0 {
		c.up.again(c.s.loop.Now())
	}
	c.broken(why)
}

// Drained implements loop.Handler.
func (c *conn1) Drained() {
	if c.x != nil {
		c.x.up.flush()
		c.x.account()
	}
}

// broken ends the connection, and the attempt of whoever has it.
func (c *conn1) broken(err *Error) {
	x := c.x
	c.close()
	if x != nil {
		x.lost(err, false)
	}
}

// leave implements upstreamSide.
func (c *conn1) leave(how parting) (free bool) {
	x := c.x
	c.x = nil
	c.paused = c.paused && c.state != conn1Closed
	reuse := c.reuse && c.sent && !x.attempt.close && (c.r.Minor > 0 || x.attempt.keepAlive)
	c.keep = x.attempt.idle
	switch {
	case c.state == conn1Closed:
	case (how == partDone || how == partDiscard) && reuse && c.body.Done():
		c.park()
	case how == partDiscard && reuse && c.body.Left() <= copyBuffer:
		c.state, c.discard, c.until = conn1Discard, copyBuffer+1, c.s.loop.Now().Add(cutFor)
		c.s.upstreams.parted(c)
	case how == partCut && c.state == conn1Body && c.sent && c.body.Done():
		c.close() // it isn't: the client has gone before it had all
	case how == partCut && c.conn.Wrote() > c.begun:
		c.state, c.cut, c.until = conn1Parted, x, c.s.loop.Now().Add(cutFor)
		if c.paused {
			c.paused = false
			c.conn.Resume()
		}
		c.conn.CloseWrite()
		c.s.upstreams.parted(c)
		return false
	case how == partCut:
		c.close()
		c.conn.Abort() // or the request would be sent yet
	default:
		c.close()
	}
	return true
}

// parting reports that the connection is read only for its end, or for the end of a response that nobody wants.
func (c *conn1) parting() bool { return c.state == conn1Parted || c.state == conn1Discard }

// park keeps the connection for the next request.
func (c *conn1) park() {
	c.state, c.since = conn1Unused, c.s.loop.Now()
	c.up.keep(c)
}

// close ends the connection. Whose slot it kept has it back.
func (c *conn1) close() {
	if c.state == conn1Closed {
		return
	}
	unused := c.state == conn1Unused
	c.state = conn1Closed
	c.conn.Close()
	if unused {
		c.up.remove(c)
	}
	if x := c.cut; x != nil {
		c.cut = nil
		x.freed()
	}
	c.up.unref()
}
