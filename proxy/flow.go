package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// flow is one request on its way through an Engine. It belongs to its connection's goroutine; beside that the clock, the
// watch and the scan for slow requests may end it (cancel) or interrupt it, under mu.
type flow struct {
	e *Engine
	h *Handler
	c *client
	x Exchange

	req     Request
	resp    Response
	head    h1.Request
	target  string // for an upstream
	te      bool   // the client takes trailers
	keep    bool   // the client's connection can be used again afterwards
	clock   clock
	up      flowBody
	attempt *flowAttempt // nil at first, and while it is suspended
	framing framing
	waited  time.Duration
	result  Result
	writing bool // the final answer has begun to be written
	aborted bool // the answer can't be completed: the connection ends with it
	hurt    bool // the client's connection may have got part of an interim answer
	done    time.Time
	handed  bool  // net/http goes on with it
	panics  bool  // until run reaches its end: the policy has panicked otherwise
	down    int64 // bytes of the body that went to the client

	prev, next *flow // in Engine.scan, under its lock
	inScan     bool

	mu          sync.Mutex
	cause       *Error // what ended it; the first counts
	upstream    *upstreamConn
	late        bool // slow has been called
	interrupted bool // upstream's read deadline is in the past, and it means nothing
	tunnelled   bool // interrupts are over
	due         bool // the upstream has had its time to ask for the body
	cut         bool // the client's write deadline is in the past
	waits       context.CancelCauseFunc
	suspended   *suspendedFlow // Next has asked for it
}

// framing of an answer on its way to the client.
type framing uint8

const (
	bodiless framing = iota
	framedByLength
	framedByChunks
	framedByClose
)

// begin makes f the flow of a head that has just been read.
func (f *flow) begin(c *client, now time.Time) error {
	f.mu.Lock()
	f.c = c // a late cancel of Engine.Close's may meet it
	f.mu.Unlock()
	o, err := Header{list: &f.head.Fields}.endConnection(f.h.cfg.EndToEnd)
	if err != nil {
		return err
	}
	if f.keep = !o.close && (f.head.Minor > 0 || o.keepAlive); f.head.Minor == 0 {
		o.upgrade = "" // RFC 9110 §7.8
		f.head.Fields.DelKinds(1 << h1.Expect)
	}
	if f.head.Length != 0 {
		o.upgrade = "" // the body would have to come first
	}
	if f.head.Method == http.MethodConnect {
		return connectMethod
	}
	var ok bool
	if f.target, ok = originForm(f.head.Method, f.head.Target, 1); !ok {
		return h1.ErrTarget
	}
	f.te = o.trailers
	f.req = Request{
		Method: f.head.Method, Target: f.head.Target, Host: f.head.Host, Proto: HTTP1, Header: Header{list: &f.head.Fields},
		RemoteAddr: c.remote, ContentLength: f.head.Length, BodyHeld: holds(f.head.Length), Upgrade: o.upgrade, Arrived: now, ex: f,
	}
	f.result = Result{Reason: Internal, Status: http.StatusInternalServerError} // should the policy panic
	f.clock.reset(now)
	f.up.begin(f)
	return nil
}

// run carries the request through. It blocks until both directions have ended, or until it is suspended; called again
// then, it goes on.
func (f *flow) run() {
	f.panics = true
	defer f.leave()
	if f.x == nil {
		f.h.inFlight.Add(1)
		f.h.budget.deposit()
		f.e.scan.join(f)
		f.x = f.h.cfg.Policy.Begin(&f.req)
	}
	err := f.forward()
	switch {
	case err == nil:
	case err == errWaits:
	case err == errHandedOff:
		f.handed = true
	case f.writing || f.hurt:
		f.aborted, f.keep = true, false
		if f.result.Reason = ReasonOf(err); !f.writing { // only an interim answer has been seen
			f.result.Status = f.result.Reason.Status()
		}
	default:
		f.own(errorAnswer(f.h.cfg.Name, err, isGRPC(f.req.Header)))
	}
	f.panics = false
}

// forward asks the policy for upstreams and tries them. A nil error means that the client has a complete answer.
func (f *flow) forward() error {
	at := Attempt{}
	if s := f.suspended; s != nil {
		at = s.at
		at.Ended = f.resume()
	}
	t := f.attempt
	if t == nil {
		t = f.e.attempt(f)
		f.attempt = t
	}
	for {
		at.Last = at.N+1 >= maxAttempts
		l, err := f.ask(&at, &t.upstream)
		if err != nil {
			return err
		}
		f.result.Attempts++
		if l != nil {
			f.own(f.h.local(&f.req, l))
			return nil
		}
		if !t.upstream.http1() {
			return f.handOff(t.upstream, at)
		}
		t.begin = f.req.Arrived
		if f.waited > 0 || at.N > 0 {
			t.begin = time.Now()
		}
		t.last = at.Last
		f.clock.start(t.upstream.Timeouts, t.upstream.From)
		err = t.run()
		if t.out.Total == 0 { // there was no connection to give back
			t.out.Total = time.Since(t.begin)
		}
		t.out.Reason = ReasonOf(err)
		if err == nil {
			f.done = t.begin.Add(t.out.Total)
		}
		f.x.Release(t.upstream, t.out)
		if err == nil || !t.again {
			return err
		}
		at.N++
		at.Cause, at.Ended = err, nil
		t.reset()
	}
}

// http1 says that an HTTP/1.1 client's request goes to the upstream in HTTP/1.1.
func (u *Upstream) http1() bool { return u.Proto == SameProto || u.Proto == HTTP1 }

// errWaits says that f is suspended, and its goroutine is free.
var errWaits = errors.New("the request waits")

// errNoSuspend is what a policy has answered that says Wait and has called neither Suspend nor Await.
var errNoSuspend = errors.New("proxy: the policy waits for nothing")

// ask has the policy decide. It returns the policy's own answer, or sets upstream. The frames of this and of what calls it are
// on the stack of every Request.Await.
func (f *flow) ask(at *Attempt, upstream *Upstream) (*Local, error) {
	for {
		d, err := f.x.Next(&f.req, *at)
		waits := err == nil && d.Wait
		switch s := f.suspended; {
		case s == nil && waits:
			return nil, errNoSuspend
		case s == nil:
		case waits && s.await != nil:
			s.run()
			at.Ended = f.resume()
			continue
		case waits:
			s.at = *at
			return nil, errWaits
		default:
			_ = f.resume() // Next has thought better of it
		}
		*upstream = d.Upstream
		return d.Local, err
	}
}

// own writes an answer of the proxy's own. The clock stops: it takes no time but that of a client which doesn't read, for
// which there is little.
func (f *flow) own(a ownAnswer) {
	f.result.Reason, f.result.Status = a.reason, a.status
	if a.reason == ClientGone {
		f.keep, f.aborted = false, true
		return
	}
	f.keep = f.keep && !a.last
	f.clock.stop()
	if f.keep && !f.head.Expect {
		f.up.finish(beforeAnswer, ownAnswerRest)
	}
	if !f.up.whole.Load() || f.h.draining.Load() || f.e.closing.Load() {
		f.keep = false
	}
	f.result.Start = time.Since(f.req.Arrived)
	buf := f.h.buffer()
	defer f.h.putBuffer(buf)
	b := h1.AppendEnd(f.appendConnection(a.appendHead(buf[:0])))
	if f.head.Method != http.MethodHead {
		b = append(b, a.body...)
		f.down += int64(len(a.body))
	}
	_ = f.c.conn.SetWriteDeadline(time.Now().Add(afterAnswer))
	f.writing = true
	if _, err := f.c.conn.Write(b); err != nil {
		f.keep, f.aborted = false, true
	}
	_ = f.c.conn.SetWriteDeadline(time.Time{})
}

// ownAnswerRest is how much of a body may be read before an answer of the proxy's own, to keep the connection.
const ownAnswerRest = 64 << 10

// leave is the end of run.
func (f *flow) leave() {
	if f.suspended != nil && !f.panics {
		if f.attempt != nil {
			f.e.keepAttempt(f.attempt)
			f.attempt = nil
		}
		return
	}
	f.end()
}

// end is the last of every flow, also after a panic of the policy's.
func (f *flow) end() {
	f.e.scan.leave(f)
	f.clock.stop()
	f.mu.Lock()
	cut := f.cut
	f.late = false // clientLeft would come too late
	f.mu.Unlock()
	if f.handed {
		return
	}
	if cut || f.panics {
		f.keep = false
	}
	r := &f.result
	r.BytesIn, r.BytesOut = f.up.taken.Load(), f.down
	if f.attempt != nil {
		r.BytesIn += f.attempt.tunnelUp.Load()
		r.BytesOut += f.attempt.tunnelDown.Load()
	}
	if f.done.IsZero() {
		f.done = time.Now()
	}
	r.Wait, r.Total = f.waited, f.done.Sub(f.req.Arrived)
	if f.x != nil {
		f.x.End(&f.req, *r)
	}
	f.h.leave()
}

// tls implements Request.TLS.
func (f *flow) tls() *tls.ConnectionState {
	if f.c.tls == nil {
		return nil
	}
	s := f.c.tls.ConnectionState()
	return &s
}

// detached implements Request.HTTP.
func (f *flow) detached() *http.Request {
	if f.head.Minor == 0 {
		return f.req.detach("HTTP/1.0", 1, 0)
	}
	return f.req.detach("HTTP/1.1", 1, 1)
}

var errTruncated = errors.New("the upstream's answer ended before its time")

// truncated gives the end of a body that should have gone on its reason.
func truncated(err error) *Error {
	if err == io.EOF {
		err = errTruncated
	}
	return &Error{Reason: ResponseTruncated, Err: err}
}
