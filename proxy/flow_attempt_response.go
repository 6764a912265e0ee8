package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// pass writes the final answer to the client: the head and what has come of the body with it at once, then whatever comes.
func (t *flowAttempt) pass(body *h1.Body) error {
	f := t.f
	if f.framing == framedByClose || f.h.draining.Load() || f.e.closing.Load() || !f.up.whole.Load() {
		// The last: should the body not come to its end, the connection can't be used again, and this is the last
		// time to say so.
		f.keep = false
	}
	if !f.clock.begin() {
		return f.ended()
	}
	f.writing = true
	f.result.Reason, f.result.Status, f.result.Start = ReasonNone, t.ans.Status, time.Since(f.req.Arrived)
	if err := t.passReady(body); err != nil {
		return err
	}
	if t.expecting && t.asked != nil && t.ans.Status < http.StatusBadRequest && !body.Done() {
		// An upstream that knows nothing of Expect, as in HTTP/1.0, may want the body after it has begun its answer. A client
		// that was not told to go on does so by itself (RFC 9110 §10.1.1).
		_ = t.askForBody(false) // tells nobody, so that nothing can fail
	}
	var sp *netio.Splice
	if body.Left() >= spliceFrom {
		sp = f.spliceDown(t.conn)
	}
	for !body.Done() {
		moved, err := t.spliced(sp, body)
		if !moved {
			err = t.move(body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passReady passes on the head and what there is of the body.
func (t *flowAttempt) passReady(body *h1.Body) error {
	f := t.f
	buf := f.h.buffer()
	defer f.h.putBuffer(buf)
	b, err := t.appendReady(f.appendAnswerHead(buf[:0], &t.ans), body)
	if err != nil {
		return err
	}
	if f.c.write(b) != nil {
		return f.clientWrite()
	}
	return nil
}

func (t *flowAttempt) untilClose() bool {
	r := &t.ans
	return t.f.framing != bodiless && !r.Chunked && r.Length < 0
}

// appendReady appends what there is of the body already, framed for the client.
func (t *flowAttempt) appendReady(b []byte, body *h1.Body) ([]byte, error) {
	f, in := t.f, &t.conn.in
	if in.len() == 0 || body.Done() {
		in.rest()
		return b, nil
	}
	src := in.bytes()
	if f.framing == framedByChunks {
		b = append(b, make([]byte, chunkRoom)...)
	}
	from := len(b)
	b = append(b, src...)
	nd, ns, err := body.Decode(b[from:], src)
	if err != nil {
		return nil, &Error{Reason: BadResponse, Err: err}
	}
	in.skip(ns)
	in.rest()
	f.down += int64(nd)
	b = b[:from+nd]
	if f.framing != framedByChunks {
		return b, nil
	}
	framed := frameChunk(b[from-chunkRoom:], nd)
	b = append(b[:from-chunkRoom], framed...) // over itself, downwards
	return t.appendEnd(b, body), nil
}

// appendEnd appends the last chunk and the trailers when body has come to its end.
func (t *flowAttempt) appendEnd(b []byte, body *h1.Body) []byte {
	if !body.Done() || t.f.framing != framedByChunks {
		return b
	}
	return t.f.h.appendLastChunk(b, body)
}

// move passes some of the body on, by a copy.
func (t *flowAttempt) move(body *h1.Body) error {
	f := t.f
	buf, n, err := t.read()
	if buf != nil {
		defer f.h.putBuffer(buf)
	}
	if n == 0 && err != nil {
		return t.ended(err, body)
	}
	content := buf[chunkRoom : len(buf)-endRoom]
	f.clock.touch(n)
	nd, ns, err := body.Decode(content, content[:n])
	if err != nil {
		return &Error{Reason: ResponseTruncated, Err: err}
	}
	t.reusable = t.reusable && ns == n
	b := content[:nd]
	if f.framing == framedByChunks {
		b = t.appendEnd(frameChunk(buf[:], nd), body)
	}
	if len(b) == 0 {
		return nil
	}
	_, err = f.c.conn.Write(b)
	if err != nil {
		return f.clientWrite()
	}
	f.down += int64(nd)
	f.clock.touch(n)
	return nil
}

// read reads from the upstream, through interrupts.
func (t *flowAttempt) read() (buf *[copyBuffer]byte, n int, err error) {
	for {
		buf, n, err = t.conn.more()
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return buf, n, err
		}
		if _, ok := t.f.onlyInterrupted(); !ok {
			return buf, n, err
		}
		if buf != nil {
			t.f.h.putBuffer(buf)
		}
	}
}

// ended is the end of the upstream's bytes before that of the body, unless the one is the other.
func (t *flowAttempt) ended(err error, body *h1.Body) error {
	f := t.f
	if e := f.ended(); e != nil {
		return e
	}
	if err != io.EOF || !t.untilClose() {
		return truncated(err)
	}
	body.Start(0)
	if f.framing == framedByChunks {
		if _, err := f.c.conn.Write(h1.AppendLastChunk(nil, nil)); err != nil {
			return f.clientWrite()
		}
	}
	return nil
}

// spliced moves a piece of a large body from socket to socket; false: it has to be copied. The error is the client's
// end's: what is wrong with the upstream's, or only an interrupt, turns up again in a plain read.
func (t *flowAttempt) spliced(sp *netio.Splice, body *h1.Body) (moved bool, err error) {
	left := body.Left()
	if left < spliceFrom {
		return false, nil
	}
	n, _ := sp.Take(left)
	if n == 0 {
		return false, nil
	}
	body.Skip(int64(n))
	n, err = sp.Give()
	t.f.down += int64(n)
	if err != nil {
		return true, t.f.clientWrite()
	}
	return true, nil
}

// drain reads the rest of a short answer, so that its connection can be used again.
func (t *flowAttempt) drain(body *h1.Body) {
	for got := 0; !body.Done() && got < copyBuffer; {
		buf, n, err := t.read()
		if buf != nil {
			_, ns, wrong := body.Decode(buf[chunkRoom:], buf[chunkRoom:chunkRoom+n])
			t.f.h.putBuffer(buf)
			if wrong != nil || ns < n {
				return
			}
		}
		if n == 0 && err != nil {
			return
		}
		got += n
	}
	t.drained = body.Done()
}

// upgrade passes a 101 on and then bytes, both ways, until both directions have ended: see try.upgrade.
func (t *flowAttempt) upgrade(protocol string) error {
	f := t.f
	f.keep = false
	f.open()
	if !f.clock.begin() {
		return f.ended()
	}
	f.writing = true
	f.result.Reason, f.result.Status, f.result.Start = ReasonNone, http.StatusSwitchingProtocols, time.Since(f.req.Arrived)
	if _, err := f.c.conn.Write(appendInformational(nil, &t.ans, protocol)); err != nil {
		return f.clientWrite()
	}
	tun := tunnel{
		h: f.h, clock: &f.clock, up: &t.tunnelUp, down: &t.tunnelDown, why: f.ended, protocol: protocol,
		client: f.c.conn, upstream: t.conn, link: t.conn.Conn, spliceUp: f.spliceUp(t.conn), spliceDown: f.spliceDown(t.conn),
	}
	if !f.clock.take(tun.cut) { // a timeout in between found nothing to cut
		return f.ended()
	}
	f.tunnel()
	err := tun.run(f.c)
	f.c.gone = true // both directions have ended
	return err
}
