package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// clientSide is a call's end at the client: one stream, or one request on a connection of HTTP/1.1. Its methods only append to what
// the connection is to send.
type clientSide interface {
	taker // of the response's body
	giver // of the request's
	// invite asks for the body that the client holds back (Expect).
	invite()
	// interim passes on the head of a 1xx.
	interim(r *head)
	// respond passes on the head of the final response; end: nothing follows.
	respond(r *head, end bool)
	// leave ends the call here. Without an error the response has been given in full, and the rest of the request's body is not
	// wanted; with one it can't be completed, or there is none.
	leave(why *Error)
}

// upstreamSide is a call's end at the upstream. It delivers what comes to call.interim, respond, down and lost.
type upstreamSide interface {
	taker // of the request's body
	giver // of the response's
	// request sends the head; end: there is no body.
	request(end bool)
	// unsent reports that the upstream can't have got anything of the request.
	unsent() bool
	// leave ends the attempt. After partCut the upstream may be working on the request; then leave returns false, and freed is
	// called once that is over, or has taken too long.
	leave(how parting) (free bool)
}

// head is that of a response on its way to the client.
type head struct {
	status int
	reason string // phrase; "" where the upstream's protocol has none
	fields h1.Fields
	length int64 // Content-Length; -1: there is none
}

// call is one request: it takes it to upstreams as its policy decides, and the response back. It belongs to its shard: every method
// is called in one of the shard's turns.
type call struct {
	s         *shard
	client    clientSide
	stream    clientStream   // client, where that speaks HTTP/2
	upstream2 upstreamStream // attempt.end, where that speaks HTTP/2
	remote    string         // the client's host:port
	peer      string         // its host
	inside    *tls.Conn      // the client's; nil: in the clear

	x         Exchange
	req       Request
	fields    h1.Fields // req.Header's
	target    string    // for an upstream
	te        bool      // the client takes trailers
	expect    bool      // the client waits to be asked for the body
	hasLength bool      // there is a Content-Length
	headSize  int64     // bytes
	holds     int64     // what the client's connection knows to be held

	up, down  relay // bodies of request and response
	at        Attempt
	attempt   attempt
	wait      *wait // of Next, which has returned Wait
	begun     bool  // start has been called
	counted   bool  // it is one of Handler.InFlight
	queued    bool  // in shard.due
	proto     Proto // that a new connection for the attempt speaks; SameProto where that is to be found out
	awaits    *dialing
	queuedAt  *upstream // for a stream
	waited    time.Duration
	head      head   // of a response, on its way
	responded bool   // the final head has been passed on
	left      bool   // the client has gone
	cause     *Error // what has ended the call before its time
	parting   bool   // the upstream may be working on the request yet
	parted    Reason // what the policy is told then
	result    Result

	times callTimes
}

// attempt is one go at an upstream.
type attempt struct {
	upstream Upstream
	end      upstreamSide // nil: there is no connection yet
	begin    time.Time
	out      AttemptResult
	active   bool // Release is due
	holding  bool // the body waits for the upstream's 100
	interims int
	askBy    time.Time
	connection
	resp Response
}

// start has the policy begin, and decide.
func (c *call) start() {
	if c.left {
		c.s.free(c) // before anybody heard of it
		return
	}
	defer c.recovered()
	h := c.s.h
	h.inFlight.Add(1)
	c.counted = true
	h.budget.deposit()
	c.result = Result{Reason: Internal, Status: http.StatusInternalServerError} // should the policy panic
	c.s.deadlines.join(c)
	c.x = h.cfg.Policy.Begin(&c.req)
	c.decide()
}

// recovered ends a call whose policy has panicked.
func (c *call) recovered() {
	if p := recover(); p != nil {
		c.logPanic(p)
		c.panicked()
	}
}

// panicked ends the call without an answer.
func (c *call) panicked() {
	if c.client != nil {
		c.leaveClient(&Error{Reason: Internal})
	}
	c.detach(partBroken)
	switch c.parting = false; {
	case c.x != nil:
		c.result.Reason, c.result.Status = Internal, http.StatusInternalServerError
		c.release(Internal)
		c.finish()
	case c.counted: // Begin has panicked
		c.forget()
	}
}

// guarded is deferred around those of a policy's methods after which the call goes on, or ends, as it would have anyway.
func (c *call) guarded() {
	if p := recover(); p != nil {
		c.logPanic(p)
	}
}

func (c *call) logPanic(p any) {
	c.s.e.log.Printf("proxy: panic serving %s: %v\n%s", c.remote, p, debug.Stack())
}

// forget is the end of a call.
func (c *call) forget() {
	c.counted = false
	c.s.deadlines.leave(c)
	c.s.h.leave()
	c.s.free(c)
}

// decide asks the policy.
func (c *call) decide() {
	c.at.Last = c.at.N+1 >= maxAttempts
	d, err := c.x.Next(&c.req, c.at)
	w := c.wait
	if err == nil && d.Wait && w != nil {
		if w.await != nil {
			w.run()
		}
		return // for w.wake, or end
	}
	c.wait = nil
	switch {
	case err != nil:
		c.fail(err)
	case d.Wait:
		c.fail(errNoSuspend)
	case d.Local != nil:
		c.result.Attempts++
		a := c.s.h.local(&c.req, d.Local)
		c.answer(&a)
		c.close()
	default:
		c.result.Attempts++
		c.forward(d.Upstream)
	}
}

// wait is one of Request.Suspend.
type wait struct {
	c      *call
	begin  time.Time
	await  func(context.Context)
	cancel context.CancelCauseFunc // while await runs
}

// suspend implements Request.Suspend.
func (c *call) suspend(t Timeouts) (wake func()) {
	t.Idle = 0
	c.s.deadlines.set(c, t, time.Time{})
	w := &wait{c: c, begin: c.s.loop.Now()}
	c.wait = w
	loop := c.s.loop // wake is called from anywhere, also when the call is another request's
	return func() { loop.Post(w.wake) }
}

// await implements Request.Await.
func (c *call) await(t Timeouts, f func(ctx context.Context)) {
	c.suspend(t)
	c.wait.await = f
}

// run calls what Await was given, on a goroutine.
func (w *wait) run() {
	ctx, cancel := context.WithCancelCause(context.Background())
	w.cancel = cancel
	w.c.s.e.all.Go(func() {
		var panicked any
		defer func() {
			if p := recover(); p != nil {
				panicked = p
				w.c.logPanic(p)
			}
			cancel(context.Canceled)
			w.c.s.loop.Post(func() {
				if w.cancel = nil; panicked != nil {
					w.c.wait = nil
					w.c.panicked()
				} else {
					w.wake()
				}
			})
		}()
		w.await(ctx)
	})
}

// wake has Next called again, unless the wait is over. It may come late, when the call has become another request's.
func (w *wait) wake() {
	if w.c.wait == w {
		w.c.s.ready(w.c)
	}
}

// proceed asks the policy again, after a wait or a failed attempt.
func (c *call) proceed() {
	if c.x == nil || c.responded {
		return // it has ended meanwhile, or has got an answer that says so
	}
	defer c.recovered()
	c.at.Ended = nil
	if w := c.wait; w != nil {
		c.wait = nil
		c.waited += c.s.loop.Now().Sub(w.begin)
		if c.cause != nil {
			c.at.Ended = c.cause
		}
	}
	c.decide()
}

// forward makes an attempt at an upstream.
func (c *call) forward(u Upstream) {
	t := &c.attempt
	*t = attempt{upstream: u, begin: c.req.Arrived, active: true}
	if c.waited > 0 || c.at.N > 0 {
		t.begin = c.s.loop.Now()
	}
	c.s.deadlines.set(c, u.Timeouts, u.From)
	if c.cause != nil {
		c.attemptEnds(c.cause, partBroken)
		return
	}
	c.s.upstreams.connect(c)
}

// connected has the request sent over an end that has been found for it.
func (c *call) connected(end upstreamSide, reused bool) {
	t := &c.attempt
	t.end = end
	if t.out.Reused = reused; reused {
		t.out.Connect = 1 // the least that there is
	} else {
		t.out.Connect = c.since(t.begin)
	}
	if c.req.Upgrade != "" {
		end.request(true) // what the client says follows the 101
		return
	}
	bodiless := c.up.ended && c.up.n == 0 && len(c.up.trail) == 0
	t.holding = !bodiless && c.fields.Find("Expect", 0) >= 0
	end.request(bodiless)
	switch {
	case bodiless:
		c.up.done = true
	case t.holding:
		t.askBy = c.s.loop.Now().Add(c.s.h.cfg.ExpectTimeout)
		c.s.deadlines.hurry(c)
	default:
		c.askForBody(true)
	}
}

// since is the time from t on; at least the smallest that there is, since 0 says that there was none.
func (c *call) since(t time.Time) time.Duration { return max(1, c.s.loop.Now().Sub(t)) }

// askForBody lets the body go to the upstream, and tells a client that waits for it to send it.
func (c *call) askForBody(tell bool) {
	c.attempt.holding = false
	if tell && c.expect && c.up.n == 0 && !c.up.ended && !c.responded {
		c.client.invite()
	}
	c.expect = c.expect && !tell
	c.up.to = c.attempt.end
	c.up.flush()
}

// maxInterims bounds the interim responses of an upstream, which are passed on at once, however slowly a client reads. It is h2's.
const maxInterims = 100

// interim takes a 1xx of the upstream.
func (c *call) interim(r *head) {
	c.firstByte()
	if r.status == http.StatusContinue {
		if c.attempt.holding {
			c.askForBody(true)
		}
		return
	}
	if c.responded {
		return
	}
	if c.attempt.interims++; c.attempt.interims > maxInterims {
		c.attemptFails(malformed("more than 100 interim responses"), false, false)
		return
	}
	if err := c.s.h.receiveInterim(Header{list: &r.fields}); err != nil {
		c.attemptFails(err, false, false)
		return
	}
	c.client.interim(r)
}

func (c *call) firstByte() {
	c.s.deadlines.touch(c)
	if c.attempt.out.FirstByte == 0 {
		c.attempt.out.FirstByte = c.since(c.attempt.begin)
	}
}

// respond takes the head of the final response; end: it has no body. It reports whether the body, if any, is wanted.
func (c *call) respond(r *head, end bool) (wanted bool) {
	defer c.recovered()
	t := &c.attempt
	c.firstByte()
	c.s.upstreams.learn(c, nil)
	t.out.Status = r.status
	if c.req.Upgrade != "" && c.req.Proto == HTTP2 && r.status/100 == 2 { // it would be taken for the websocket's
		c.attemptFails(malformed("the upstream does not switch to %s", c.req.Upgrade), false, false)
		return false
	}
	t.resp = Response{Status: r.status, Header: Header{list: &r.fields}}
	o, discard, err := c.s.h.receive(c.x, &c.req, &t.resp, &t.upstream)
	if err != nil {
		c.attemptFails(err, false, false)
		return false
	}
	t.connection = o
	if discard && c.mayRepeat() {
		c.repeat(&Error{Reason: Busy, Status: r.status, Err: errDiscarded}, partDiscard)
		return false
	}
	c.responded = true
	c.result.Reason, c.result.Status, c.result.Start = ReasonNone, r.status, c.since(c.req.Arrived)
	switching := r.status == http.StatusSwitchingProtocols
	if !switching { // ResponseStart is of the first byte behind a 101
		c.s.deadlines.begun(c)
	}
	c.client.respond(r, end)
	c.up.settle()
	if switching || t.holding && r.status < http.StatusBadRequest {
		// An upstream that knows nothing of Expect may want the body after it has begun its response. A client that was not told
		// to go on does so by itself (RFC 9110 §10.1.1).
		c.askForBody(false)
	}
	c.down.start(t.end, false)
	c.down.to = c.client
	if end {
		c.down.ended, c.down.done = true, true
		c.passed()
	}
	return true
}

// give takes some of the response's body.
func (c *call) give(p []byte, end bool) {
	c.s.deadlines.touch(c)
	c.s.deadlines.begun(c)
	c.down.put(p, end)
	c.passed()
	c.bounded()
}

// giveTrailers takes the fields that end the response.
func (c *call) giveTrailers(f h1.Fields) {
	c.s.h.private.stripTrailers(Header{list: &f})
	c.down.putTrailers(f)
	c.passed()
}

// passed ends the call when the response has gone to the client in full. The upstream is done with it before, when it has come in
// full: a client that doesn't read keeps no slot.
func (c *call) passed() {
	if c.down.ended && !c.down.done && c.client != nil && c.attempt.end != nil {
		c.detach(partDone)
		c.up.drop()
		c.release(ReasonNone)
	}
	if !c.down.done || c.client == nil {
		return
	}
	c.client.leave(nil)
	c.client = nil
	if c.attempt.end != nil {
		c.attemptEnds(nil, partDone)
	} else {
		c.close()
	}
}

// lost takes the news that the upstream's end is broken. refused: it has said that it has not processed the request.
func (c *call) lost(err *Error, refused bool) {
	defer c.recovered()
	t := &c.attempt
	c.s.upstreams.learn(c, err)
	unanswered := t.out.FirstByte == 0 && err.Reason == UpstreamClosed && (t.out.Reused || t.upstream.Replay)
	c.attemptFails(err, refused || t.end != nil && t.end.unsent(), unanswered)
}

// notConnected takes the news that there is no connection.
func (c *call) notConnected(err *Error, again bool) {
	defer c.recovered()
	c.attemptFails(err, again, false)
}

// attemptFails decides whether there is another attempt: when nothing of the request was processed, or, for a request that may be made
// twice anyway, when a connection has ended on which an answer might have come.
func (c *call) attemptFails(err error, unsent, unanswered bool) {
	if c.cause != nil {
		err = c.cause
	}
	if (unsent || unanswered && idempotent(c.req.Method)) && c.mayRepeat() && c.s.h.budget.withdraw() {
		c.repeat(err, partBroken)
		return
	}
	c.attemptEnds(err, partBroken)
}

func (c *call) mayRepeat() bool {
	return !c.at.Last && !c.responded && c.cause == nil && c.up.repeatable()
}

// repeat releases the upstream and asks for another.
func (c *call) repeat(cause error, how parting) {
	c.detach(how)
	c.release(ReasonOf(cause))
	c.up.rewind()
	c.at.N++
	c.at.Cause, c.at.Ended = cause, nil
	c.s.ready(c) // not from within what the upstream's end is doing
}

// attemptEnds ends the last attempt, and the call with it. An upstream that may be working on a request that was cut keeps its slot
// until that is over: see freed.
func (c *call) attemptEnds(err error, how parting) {
	c.finishClient(err)
	if c.parted = ReasonOf(err); c.detach(how) {
		c.release(c.parted)
	} else {
		c.parting = true
	}
	c.close()
}

// detach parts the call from its upstream's end.
func (c *call) detach(how parting) (free bool) {
	t := &c.attempt
	c.up.to, c.down.from = nil, noGiver{}
	end := t.end
	t.end = nil
	if end == nil {
		c.s.upstreams.forget(c)
		return true
	}
	return end.leave(how)
}

// freed is called for an upstream that wasn't free at once.
func (c *call) freed() {
	defer c.recovered()
	c.parting = false
	c.release(c.parted)
	c.close()
}

// close ends a call that is done with both of its ends.
func (c *call) close() {
	if c.client == nil && !c.parting && c.x != nil {
		c.finish()
	}
}

// finishClient gives the client what can still be given.
func (c *call) finishClient(err error) {
	if err == nil || c.client == nil {
		return
	}
	e := asError(err)
	switch {
	case c.responded:
		c.result.Reason = e.Reason
		c.leaveClient(e)
	case e.Reason == ClientGone:
		c.result.Reason, c.result.Status = ClientGone, StatusClientClosedRequest
		c.leaveClient(e)
	default:
		a := errorAnswer(c.s.h.cfg.Name, err, isGRPC(c.req.Header))
		c.answer(&a)
	}
}

func (c *call) leaveClient(e *Error) {
	c.client.leave(e)
	c.client = nil
}

// asError gives any error its reason.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Reason: ReasonOf(err), Err: err}
}

// release tells the policy what became of the attempt.
func (c *call) release(r Reason) {
	t := &c.attempt
	if !t.active {
		return
	}
	t.active = false
	t.out.Reason, t.out.Total = r, c.since(t.begin)
	defer c.guarded()
	c.x.Release(t.upstream, t.out)
}

// fail answers a call that has no upstream with an error.
func (c *call) fail(err error) {
	c.finishClient(err)
	c.close()
}

// answer writes a response of the proxy's own. That takes no time but a client's which doesn't read, for which there is little.
func (c *call) answer(a *ownAnswer) {
	c.result.Reason, c.result.Status = a.reason, a.status
	if a.reason == ClientGone {
		c.leaveClient(errClientGone)
		return
	}
	c.result.Start = c.since(c.req.Arrived)
	body := a.body
	if c.req.Method == http.MethodHead {
		body = ""
	}
	c.responded = true
	c.s.deadlines.set(c, Timeouts{Total: afterAnswer}, c.s.loop.Now())
	c.head = head{status: a.status, fields: c.s.ownHead(a), length: int64(a.length)}
	c.client.respond(&c.head, body == "")
	c.up.drop()
	c.down.start(noGiver{}, false)
	c.down.to = c.client
	if body == "" {
		c.down.ended, c.down.done = true, true
	} else {
		c.down.put([]byte(body), true)
	}
	if c.down.done {
		c.client.leave(nil)
		c.client = nil
	}
}

// noGiver is for a body that is there.
type noGiver struct{}

func (noGiver) credit(int, int) {}

// end ends the call now, because of e: a timeout, a client that has gone, a shutdown.
func (c *call) end(e *Error) {
	if c.client == nil {
		return
	}
	if c.cause == nil {
		c.cause = e
	}
	switch {
	case c.x == nil:
		c.left = true
	case c.wait != nil && c.wait.cancel != nil:
		c.wait.cancel(c.cause)
	case c.wait != nil:
		c.s.ready(c)
	case c.attempt.active && !c.parting:
		c.attemptEnds(e, partCut)
	default: // its own answer doesn't get away, or it is about to ask the policy once more
		c.finishClient(e)
		c.close()
	}
}

// clientGone is the news that the client has left, or cancelled the request.
func (c *call) clientGone() {
	c.left = true
	defer c.recovered()
	if c.x != nil {
		c.end(errClientGone)
	}
}

// finish is the last of every call that began.
func (c *call) finish() {
	r := &c.result
	r.BytesIn, r.BytesOut = c.up.n, c.down.n-int64(c.down.held())
	r.Wait, r.Total = c.waited, c.since(c.req.Arrived)
	x := c.x
	c.x = nil
	defer c.forget()
	defer c.guarded()
	x.End(&c.req, *r)
}

// timedOut is the deadlines'.
func (c *call) timedOut(r Reason, after time.Duration) {
	c.end(&Error{Reason: r, Text: c.s.h.cfg.TimeoutText, Err: fmt.Errorf("%s after %v", r, after.Round(time.Millisecond))})
}

// tls implements Request.TLS.
func (c *call) tls() *tls.ConnectionState {
	if c.inside == nil {
		return nil
	}
	s := c.inside.ConnectionState()
	return &s
}

// detached implements Request.HTTP.
func (c *call) detached() *http.Request { return c.req.detach("HTTP/2.0", 2, 0) }
