package proxy

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// flowAttempt is one attempt of a flow to have its request answered by an upstream.
type flowAttempt struct {
	f        *flow
	upstream Upstream
	last     bool // no other attempt will be made
	begin    time.Time
	ans      h1.Response
	out      AttemptResult
	again    bool // what went wrong may be tried once more

	conn      *upstreamConn
	expecting bool // the body waits for the upstream's 100
	asked     *time.Timer
	reusable  bool // the connection, as far as the upstream is concerned
	drained   bool // of an answer that was discarded
	keep      time.Duration

	chunks               h1.Chunks // of the answer
	tunnelUp, tunnelDown atomic.Int64
}

// reset readies t for another attempt.
func (t *flowAttempt) reset() {
	clear(t.ans.Fields)
	*t = flowAttempt{f: t.f, ans: h1.Response{Fields: t.ans.Fields[:0]}, chunks: t.chunks}
}

// run makes the attempt. A nil error means that the client has a complete answer. Nobody reads the body of the request,
// nor uses the upstream's connection, when it returns.
func (t *flowAttempt) run() (err error) {
	f := t.f
	if f.up.broken != nil {
		return f.up.broken
	}
	c, err := t.connect()
	if err != nil {
		return t.failed(err, true, false)
	}
	t.conn, c.wrote = c, 0
	if e := f.attach(c); e != nil {
		f.e.pool.drop(c)
		return e
	}
	err = errPanic // should the policy
	defer func() { t.giveBack(err) }()
	err = t.exchange()
	return err
}

var errPanic = errors.New("the policy panicked")

// repeatable says that the request may be sent once more should its connection turn out to have been closed. That of a
// request that has been sent before is as good as not: it has few attempts left.
func (f *flow) repeatable() bool {
	return f.result.Attempts <= 1 && idempotent(f.head.Method) && f.req.BodyHeld
}

// connect takes a connection from the pool or makes one.
func (t *flowAttempt) connect() (*upstreamConn, error) {
	f := t.f
	key := upstreamKey{t.upstream.Addr, t.upstream.TLS, HTTP1}
	if c := f.e.pool.take(key, t.begin, f.repeatable()); c != nil {
		t.out.Reused = true
		t.out.Connect = 1 // the least that there is: no clock is read for it
		return c, nil
	}
	ctx, end := f.wait()
	defer f.unwait(end)
	c, err := f.e.pool.dial(ctx, key)
	if err == nil {
		t.out.Connect = time.Since(t.begin)
	}
	return c, err
}

// exchange sends the request and passes the answer on.
func (t *flowAttempt) exchange() error {
	f := t.f
	if err := t.send(); err != nil {
		e := t.why(err)
		if t.out.Reused && e.Reason == UpstreamClosed && t.conn.in.len() == 0 {
			f.e.pool.recycled(t.conn.upstream.key, time.Now())
		}
		return t.failed(e, t.conn.wrote == 0, t.conn.in.len() == 0 && (t.out.Reused || t.upstream.Replay))
	}
	for {
		if t.out.FirstByte == 0 {
			t.out.FirstByte = time.Since(t.begin)
		}
		if err := t.ans.Parse(t.conn.head()); err != nil {
			return &Error{Reason: BadResponse, Err: err}
		}
		if t.ans.Status >= 200 || t.ans.Status == http.StatusSwitchingProtocols {
			break
		}
		f.clock.touch(1)
		if err := t.interim(); err != nil {
			return err
		}
		if err := t.await(nil, nil); err != nil {
			return t.failed(t.why(err), false, false)
		}
	}
	t.out.Status = t.ans.Status
	return t.answered()
}

// send sends the head and what there is of the body, and blocks until the upstream has answered.
func (t *flowAttempt) send() error {
	f := t.f
	buf := f.h.buffer()
	b := f.appendRequestHead(buf[:0], &t.upstream)
	f.up.sent = false
	t.expecting = f.head.Length != 0 && f.head.Fields.Find("Expect", 0) >= 0
	if !t.expecting {
		b = f.up.appendHeld(b)
		if f.up.body.Done() {
			f.up.sent = true
			return t.await(b, buf)
		}
	}
	n, err := t.conn.Conn.Write(b)
	f.h.putBuffer(buf)
	t.conn.wrote += int64(n)
	if err == nil { // otherwise an answer may have come all the same
		if t.expecting {
			t.expect()
		} else if err := f.invite(); err != nil { // the upstream isn't to be asked
			return err
		} else {
			f.up.start(t.conn, false)
		}
	}
	return t.await(nil, nil)
}

// await blocks until the head of an answer has come.
func (t *flowAttempt) await(b []byte, in *[copyBuffer]byte) error {
	defer t.conn.written()
	for {
		err := t.conn.awaitHead(b, in)
		if err == nil {
			return nil
		}
		b, in = t.conn.out, t.conn.borrowed // an interrupt may come before a byte is written
		due, ok := t.f.onlyInterrupted()
		if !ok {
			return err
		}
		if due && t.expecting {
			if err := t.askForBody(true); err != nil {
				return err
			}
		}
	}
}

// why tells what a failure before the answer is about.
func (t *flowAttempt) why(err error) *Error {
	if e := t.f.ended(); e != nil {
		return e
	}
	return t.conn.brokenBy(err)
}

// failed decides whether the attempt may be repeated: see try.failed.
func (t *flowAttempt) failed(err error, unsent, unanswered bool) error {
	t.again = (unsent || unanswered && idempotent(t.f.head.Method)) && t.mayRepeat() && t.f.h.budget.withdraw()
	return err
}

// mayRepeat says so while nobody has to be asked for bytes again. The pump has to be stopped for that.
func (t *flowAttempt) mayRepeat() bool {
	if t.last || t.f.hurt || t.f.ended() != nil {
		return false
	}
	if t.conn != nil {
		t.f.up.stop(t.conn)
	}
	return !t.f.up.lost && t.f.up.broken == nil
}

// giveBack gives the connection back to the pool, or closes it.
func (t *flowAttempt) giveBack(err error) {
	f, c := t.f, t.conn
	now := time.Now()
	t.out.Total = now.Sub(t.begin)
	if t.asked != nil {
		t.asked.Stop()
	}
	f.up.stop(c)
	if f.detach() && (err == nil || t.drained) && t.reusable && f.up.sent && c.in.len() == 0 {
		f.e.pool.give(c, now, t.keep)
		return
	}
	f.e.pool.drop(c)
}

// answered passes the final answer on.
func (t *flowAttempt) answered() error {
	f, r := t.f, &t.ans
	f.resp = Response{Status: r.Status, Header: Header{list: &r.Fields}}
	o, discard, err := f.h.receive(f.x, &f.req, &f.resp, &t.upstream)
	if err != nil {
		return err
	}
	t.keep = o.idle
	if r.Status == http.StatusSwitchingProtocols {
		return t.upgrade(o.upgrade)
	}
	body := t.bodyOf()
	t.reusable = !o.close && (r.Minor > 0 || o.keepAlive) && !r.Doubtful && !t.untilClose()
	if discard && t.mayRepeat() {
		t.again = true
		t.drain(&body)
		return &Error{Reason: Busy, Status: r.Status, Err: errDiscarded}
	}
	return t.pass(&body)
}

// bodyOf is what is to come of an answer (RFC 9112 §6.3).
func (t *flowAttempt) bodyOf() (b h1.Body) {
	f, r := t.f, &t.ans
	switch {
	case f.head.Method == http.MethodHead, r.Status == http.StatusNoContent, r.Status == http.StatusNotModified:
		b.Start(0)
		f.framing = bodiless
	case r.Chunked:
		b.StartChunked(&t.chunks)
		f.framing = framedByChunks
	case r.Length >= 0:
		b.Start(r.Length)
		f.framing = framedByLength
	default:
		b.Start(-1)
		f.framing = framedByChunks
	}
	if f.framing == framedByChunks && f.head.Minor == 0 {
		f.framing = framedByClose
	}
	return b
}
