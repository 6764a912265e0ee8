package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

var errClientGone = &Error{Reason: ClientGone, Status: StatusClientClosedRequest, Err: errors.New("the client has gone")}

// exchange is one request on its way through a Handler. Its goroutine is that of ServeHTTP; besides it there are the
// upload's, and on an upgraded connection one more, and it waits for both.
type exchange struct {
	h      *Handler
	w      http.ResponseWriter
	r      *http.Request
	rc     http.ResponseController
	x      Exchange
	req    Request
	target string
	te     bool // the client takes trailers

	// ctx ends when the client goes or a timeout comes; its cause, or its parent's end, tells which: see why.
	ctx    context.Context
	cancel context.CancelCauseFunc
	clock  clock
	up     upload
	waits  *exchangeWait  // Next has asked for it
	handed *handedRequest // by an Engine; nil once its upstream has been taken up

	watched     uint64 // by h.watch; 0: not
	watchedConn syscall.RawConn

	writing   atomic.Bool // the final head has been handed to w
	aborted   bool        // the answer can't be ended as it began
	tunnelled bool        // the connection is not net/http's any more
	waited    time.Duration
	bytesOut  atomic.Int64
	bytesUp   atomic.Int64 // of an upgraded connection
	result    Result
}

// newExchange fails on what is no request.
func newExchange(h *Handler, w http.ResponseWriter, r *http.Request) (*exchange, error) {
	target, err := checkRequest(r)
	if err != nil {
		return nil, err
	}
	header := Header{fields: r.Header}
	connection, err := header.endConnection(h.cfg.EndToEnd)
	if err != nil {
		return nil, tooManyOptions.with("")
	}
	ex := &exchange{h: h, w: w, r: r, rc: *http.NewResponseController(w), target: target}
	ex.ctx, ex.cancel = context.WithCancelCause(r.Context())
	ex.up.init(h, r)
	ex.up.wake, ex.up.fail = ex.clock.touch, ex.clientFailed
	ex.te = connection.trailers
	delete(r.Header, "Host") // HTTP/2: the same as :authority
	proto := HTTP1
	if r.ProtoMajor >= 2 {
		proto, connection.upgrade = HTTP2, ""
	}
	if !r.ProtoAtLeast(1, 1) {
		connection.upgrade = "" // RFC 9110 §7.8
		delete(r.Header, "Expect")
	}
	if r.ContentLength != 0 {
		connection.upgrade = "" // the body would have to come first, which net/http's client does not wait for
	}
	ex.req = Request{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: proto, Header: header,
		RemoteAddr: r.RemoteAddr, ContentLength: r.ContentLength, BodyHeld: holds(r.ContentLength), Upgrade: connection.upgrade,
		Arrived: time.Now(), ex: ex,
	}
	ex.clock.init(ex, h.cfg.TimeoutText, ex.req.Arrived)
	return ex, nil
}

// run carries the request through and reports whether the client's stream must be aborted.
func (ex *exchange) run() (abort bool) {
	ex.result.Reason, ex.result.Status = Internal, http.StatusInternalServerError // should the policy panic
	defer ex.end()
	if ex.x == nil {
		ex.x = ex.h.cfg.Policy.Begin(&ex.req)
	}
	err := ex.forward()
	switch {
	case err == nil:
	case ex.writing.Load():
		ex.aborted = !ex.tunnelled
		ex.result.Reason = ReasonOf(err)
	default:
		ex.own(errorAnswer(ex.h.cfg.Name, err, isGRPC(ex.req.Header)))
	}
	return ex.aborted
}

// forward asks the policy for upstreams and tries them. A nil error means that the client has a complete answer.
func (ex *exchange) forward() error {
	at := Attempt{}
	if ex.handed != nil {
		at = ex.handed.at
	}
	for {
		at.Last = at.N+1 >= maxAttempts
		d, err := ex.next(at)
		if err != nil {
			return err
		}
		ex.result.Attempts++
		if d.Local != nil {
			ex.own(ex.h.local(&ex.req, d.Local))
			return nil
		}
		t := &try{ex: ex, last: at.Last, begin: time.Now()}
		t.upstream = d.Upstream // not above: that would be made on the stack first
		ex.clock.start(t.upstream.Timeouts, t.upstream.From)
		if !ex.req.BodyHeld {
			ex.watchClient() // an upstream that doesn't read would hide its leaving
		}
		err = t.run()
		ex.release(t, err)
		if err == nil {
			return nil
		}
		if !t.again {
			return err
		}
		at.N++
		at.Cause = err
		// What the upstream was sent may still be read while its connection winds up.
		ex.r.Header = ex.r.Header.Clone()
		ex.req.Header = Header{fields: ex.r.Header}
	}
}

// next asks the policy, and waits when that says so, with the goroutine that there is anyway.
func (ex *exchange) next(at Attempt) (Decision, error) {
	if b := ex.handed; b != nil {
		ex.handed = nil
		return Forward(b.upstream), nil
	}
	begin := time.Now()
	defer func() { ex.waited += time.Since(begin) }()
	for {
		ex.waits = nil
		d, err := ex.x.Next(&ex.req, at)
		switch {
		case err != nil || !d.Wait:
			return d, err
		case ex.waits == nil:
			return d, errNoSuspend
		}
		at.Ended = ex.waits.wait(ex)
	}
}

func (ex *exchange) release(t *try, err error) {
	t.out.Total = time.Since(t.begin)
	t.out.Reason = ReasonOf(err)
	ex.x.Release(t.upstream, t.out)
}

// own gives an answer of the proxy's own, before anything has been written.
func (ex *exchange) own(a ownAnswer) {
	ex.result.Reason, ex.result.Status = a.reason, a.status
	stuck := ex.ready()
	if a.reason == ClientGone {
		ex.aborted = true // nothing is to follow on this connection
		return
	}
	ex.result.Start = time.Since(ex.req.Arrived)
	ex.bytesOut.Add(int64(a.write(ex.w, ex.r, stuck || ex.h.draining.Load())))
	if ex.req.Proto == HTTP1 && !ex.up.complete() { // net/http would wait for the rest of the body
		_ = ex.rc.Flush() // a client that has gone is noticed by net/http
	}
}

// ready makes way for an answer of the proxy's own: the clock stops, and on HTTP/1.1 net/http, which reads what is left
// of the body before it writes, gets little time for that. Nothing further comes on a connection whose body is stuck.
func (ex *exchange) ready() (stuck bool) {
	ex.clock.stop()
	stuck = ex.up.stop(ex.interrupt) && ex.req.Proto == HTTP1
	ex.limitRest(beforeAnswer)
	return stuck
}

// end is the last of every exchange, also after a panic of the policy's.
func (ex *exchange) end() {
	ex.clock.stop()
	ex.unwatchClient()
	if !ex.tunnelled {
		ex.up.stop(ex.interrupt)
		ex.limitRest(afterAnswer)
	}
	ex.cancel(nil)
	r := &ex.result
	r.BytesIn, r.BytesOut = ex.up.sent()+ex.bytesUp.Load(), ex.bytesOut.Load()
	r.Wait, r.Total = ex.waited, time.Since(ex.req.Arrived)
	if ex.x != nil {
		ex.x.End(&ex.req, *r)
	}
}

// interrupt makes a read of the body that hangs return; the connection is of no more use.
func (ex *exchange) interrupt() { _ = ex.rc.SetReadDeadline(time.Now().Add(-time.Second)) }

// limitRest bounds the time for which net/http reads the rest of a body on HTTP/1.1.
func (ex *exchange) limitRest(limit time.Duration) {
	if ex.req.Proto == HTTP1 && !ex.up.complete() {
		_ = ex.rc.SetReadDeadline(time.Now().Add(limit))
	}
}

// why tells what ended ctx: a timeout, or else the client.
func (ex *exchange) why() *Error {
	if e, ok := errors.AsType[*Error](context.Cause(ex.ctx)); ok {
		return e
	}
	return errClientGone
}

// ended is why, or nil while nothing has ended ctx.
func (ex *exchange) ended() *Error {
	if ex.ctx.Err() == nil {
		return nil
	}
	return ex.why()
}

// clientFailed is called when the body can't be read on.
func (ex *exchange) clientFailed(err error) {
	ex.cancel(uploadError(err))
}

// tls implements Request.TLS.
func (ex *exchange) tls() *tls.ConnectionState {
	if ex.r.TLS != nil {
		return ex.r.TLS
	}
	c, _ := ex.r.Context().Value(tlsKey{}).(*tls.Conn)
	if c == nil {
		return nil
	}
	s := c.ConnectionState()
	return &s
}

// timedOut is the clock's: the client must not hold us in a write that has begun.
func (ex *exchange) timedOut(e *Error, writing bool) {
	ex.cancel(e)
	if writing {
		_ = ex.rc.SetWriteDeadline(time.Now().Add(-time.Second))
	}
}

func (ex *exchange) over() bool  { return ex.ctx.Err() != nil }
func (ex *exchange) clientGone() { ex.cancel(errClientGone) }

// detached implements Request.HTTP.
func (ex *exchange) detached() *http.Request {
	r := ex.r.WithContext(context.Background())
	r.Header = ex.r.Header.Clone()
	r.Body, r.GetBody, r.Trailer = http.NoBody, nil, nil
	r.TLS = ex.req.TLS()
	u := *r.URL
	r.URL = new(url.URL)
	*r.URL = u
	return r
}

func malformed(format string, args ...any) *Error {
	return &Error{Reason: BadResponse, Err: fmt.Errorf(format, args...)}
}
