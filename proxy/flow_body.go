package proxy

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// flowBody is the body of a request on its way to the upstream. What came with the head is decoded at once, and when that was all, as
// it mostly is, nothing more happens. Otherwise a goroutine of its own reads and sends on: pump. It is stopped, and
// waited for, before the flow goes on to another attempt or ends; nothing that it has read is lost by that.
type flowBody struct {
	f      *flow
	body   h1.Body
	chunks h1.Chunks
	held   []byte // decoded, from the start; not when lost
	lost   bool   // more than maxHeld was decoded
	taken  atomic.Int64
	whole  atomic.Bool // it has been decoded to its end
	broken *Error      // what is wrong with it

	done    chan struct{} // closed when pump has ended; nil while there is none
	stopped atomic.Bool
	sent    bool // to the upstream, in full
}

// begin decodes what has come with the head.
func (s *flowBody) begin(f *flow) {
	s.f, s.lost, s.broken, s.done, s.sent = f, false, nil, nil, false
	if cap(s.held) > readBufferSize {
		s.held = nil
	}
	s.held = s.held[:0]
	s.taken.Store(0)
	in := &f.c.in
	if f.head.Length == 0 {
		s.body.Start(0)
		s.whole.Store(true)
		in.rest()
		return
	}
	s.whole.Store(false)
	if f.head.Chunked() {
		s.body.StartChunked(&s.chunks)
	} else {
		s.body.Start(f.head.Length)
	}
	s.decode(in.bytes())
	in.rest()
}

// decode takes what is the body's of b, which is what the connection's readBuffer holds, and holds it.
func (s *flowBody) decode(b []byte) {
	from := len(s.held)
	s.held = append(s.held, b...)
	nd, ns, err := s.body.Decode(s.held[from:], b)
	s.held = s.held[:from+nd]
	s.f.c.in.skip(ns)
	s.account(nd, err)
}

// account notes that n bytes more have been decoded.
func (s *flowBody) account(n int, err error) {
	if s.taken.Add(int64(n)) > maxHeld {
		s.lost = true
	}
	if err != nil {
		s.broken = &Error{Reason: BadRequest, Err: err}
	}
	s.whole.Store(s.body.Done())
}

// appendHeld appends what is held, framed for the upstream, and the end if that is all.
func (s *flowBody) appendHeld(b []byte) []byte {
	if !s.body.Chunked() {
		return append(b, s.held...)
	}
	if len(s.held) > 0 {
		b = append(append(h1.AppendChunkSize(b, len(s.held)), s.held...), "\r\n"...)
	}
	if s.body.Done() {
		b = s.f.h.appendLastChunk(b, &s.body)
	}
	return b
}

// start has a goroutine send the rest to c; with held also what is held.
func (s *flowBody) start(c *upstreamConn, held bool) {
	s.stopped.Store(false)
	s.done = make(chan struct{})
	go s.pump(c, held)
}

// pump is the goroutine: it ends with the body, with an end of the connection that it reads or writes, or with stop.
func (s *flowBody) pump(c *upstreamConn, held bool) {
	defer close(s.done)
	if held {
		if _, err := c.Conn.Write(s.appendHeld(nil)); err != nil {
			return
		}
		s.f.clock.touch(1)
	}
	var sp *netio.Splice
	if s.body.Left() >= spliceFrom {
		sp = s.f.spliceUp(c)
	}
	for !s.body.Done() {
		moved, err := s.spliced(sp)
		if err != nil || !moved && !s.copied(c) {
			return // the upstream's end says why, if fail hasn't
		}
	}
	s.sent = true
}

// copied sends a piece of the body by way of a buffer; false: no more can be sent.
func (s *flowBody) copied(c *upstreamConn) bool {
	buf := s.f.h.buffer()
	defer s.f.h.putBuffer(buf)
	b, err := s.next(buf)
	if err != nil {
		s.fail(err)
		return false
	}
	if len(b) == 0 {
		return true
	}
	s.f.clock.touch(len(b))
	if _, err := c.Conn.Write(b); err != nil {
		return false
	}
	s.f.clock.touch(len(b))
	return true
}

// Room around the content of a chunk.
const (
	chunkRoom = 10
	endRoom   = 2
)

// next reads some of the body into buf, and frames it for the upstream.
func (s *flowBody) next(buf *[copyBuffer]byte) ([]byte, error) {
	content := buf[chunkRoom : len(buf)-endRoom]
	in := &s.f.c.in
	if in.len() == 0 && !s.body.Chunked() {
		n, err := s.f.c.conn.Read(content[:min(int64(len(content)), s.body.Left())])
		if n == 0 {
			return nil, err
		}
		_, _, _ = s.body.Decode(content, content[:n])
		s.hold(content[:n])
		s.account(n, nil)
		return content[:n], nil
	}
	if in.len() == 0 {
		n, err := s.f.c.conn.Read(in.space())
		in.added(n)
		if n == 0 {
			return nil, err
		}
	}
	b := in.bytes()
	nd, ns, err := s.body.Decode(content, b[:min(len(b), len(content))])
	in.skip(ns)
	in.rest()
	s.hold(content[:nd])
	s.account(nd, err)
	if err != nil {
		return nil, s.broken
	}
	if !s.body.Chunked() {
		return content[:nd], nil
	}
	framed := frameChunk(buf[:], nd)
	if s.body.Done() {
		framed = s.f.h.appendLastChunk(framed, &s.body)
	}
	return framed, nil
}

// frameChunk frames the n bytes of content that lie in b after chunkRoom; none become nothing.
func frameChunk(b []byte, n int) []byte {
	if n == 0 {
		return b[:0]
	}
	var line [chunkRoom]byte
	size := h1.AppendChunkSize(line[:0], n)
	at := chunkRoom - len(size)
	copy(b[at:], size)
	return append(b[at:chunkRoom+n], "\r\n"...)
}

// hold keeps what another attempt would need.
func (s *flowBody) hold(b []byte) {
	if !s.lost && s.taken.Load()+int64(len(b)) <= maxHeld {
		s.held = append(s.held, b...)
	}
}

// fail ends the flow for the end of the client, unless it was stop that ended the read.
func (s *flowBody) fail(err error) {
	if s.stopped.Load() {
		return
	}
	if e, ok := errors.AsType[*Error](err); ok {
		s.f.cancel(e, false)
		return
	}
	s.f.clientGone()
}

// stop ends pump and waits for it. c is of no more use when it had to be interrupted.
func (s *flowBody) stop(c *upstreamConn) {
	if s.done == nil {
		return
	}
	select {
	case <-s.done:
	default:
		s.stopped.Store(true)
		_ = s.f.c.conn.SetReadDeadline(past())
		_ = c.Conn.SetWriteDeadline(past())
		<-s.done
		_ = s.f.c.conn.SetReadDeadline(time.Time{})
		_ = c.Conn.SetWriteDeadline(time.Time{}) // it may have been done with it
	}
	s.done = nil
}

// spliced moves a piece of a large body from socket to socket; false: it has to be copied. The error is the upstream's end's:
// what is wrong with the client's turns up again in a plain read.
func (s *flowBody) spliced(sp *netio.Splice) (moved bool, err error) {
	left := s.body.Left()
	if left < spliceFrom {
		return false, nil
	}
	n, _ := sp.Take(left - spliceTail)
	if n == 0 {
		return false, nil
	}
	s.body.Skip(int64(n))
	s.lost = true
	s.account(n, nil)
	_, err = sp.Give()
	return true, err
}

// finish reads what is left of a body that nobody wants, if it is on its way already: for so long, and so much.
func (s *flowBody) finish(within time.Duration, most int64) {
	if s.body.Done() || s.broken != nil {
		return
	}
	buf := s.f.h.buffer()
	defer s.f.h.putBuffer(buf)
	_ = s.f.c.conn.SetReadDeadline(time.Now().Add(within))
	for got := int64(0); !s.body.Done() && got < most; {
		if _, err := s.next(buf); err != nil {
			break
		}
		got = s.taken.Load()
	}
	_ = s.f.c.conn.SetReadDeadline(time.Time{})
}
