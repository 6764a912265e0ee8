package proxy

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// try is one attempt to have a request answered by an upstream.
type try struct {
	ex       *exchange
	upstream Upstream
	last     bool // no other attempt will be made
	begin    time.Time
	out      AttemptResult

	again bool // what went wrong may be tried once more

	conn    *conn
	keep    time.Duration // for which the upstream keeps it unused
	before  int64         // bytes written to the connection earlier
	url     url.URL
	body    reader
	trace   httptrace.ClientTrace
	headers atomic.Bool  // HTTP/2: the head has been written
	first   atomic.Int64 // when the first byte of the answer came: nanoseconds since begin

	interims sync.Mutex // held while an interim answer is written, by net/http's reader of the connection
	final    bool       // no interim answer may follow; guarded by interims
}

// run makes the attempt. A nil error means that the client has a complete answer; with another, again tells whether
// it may be made once more. It returns when nobody reads the body of the request any more.
func (t *try) run() (err error) {
	ex := t.ex
	key := upstreamKey{t.upstream.Addr, t.upstream.TLS, t.upstream.Proto}
	if key.proto == SameProto && ex.req.Proto == HTTP1 {
		key.proto = HTTP1
	}
	c, reused, err := ex.h.pool.find(ex.ctx, key, ex.needs())
	if err != nil {
		return t.failed(t.reason(err), !errors.Is(err, errGRPC), false)
	}
	proto := HTTP1
	if c.shared() {
		proto = HTTP2
	}
	t.conn, t.before = c, c.link.wrote.Load()
	t.out.Reused, t.out.Connect = reused, time.Since(t.begin)
	c.link.more.Store(false)
	defer func() {
		t.body.Close()
		c.link.body.Store(nil)
		ex.h.pool.put(c, t.keep)
	}()

	resp, err := c.RoundTrip(t.request(proto))
	t.endInterims()
	if err != nil {
		e := t.reason(err)
		ex.h.pool.learn(key, c, e)
		if reused && proto == HTTP1 && e.Reason == UpstreamClosed && t.first.Load() == 0 {
			ex.h.pool.recycled(c.upstream.key, time.Now())
		}
		return t.failed(e, t.unsent(proto, err), t.first.Load() == 0 && (reused || t.upstream.Replay && e.Reason == UpstreamClosed))
	}
	ex.h.pool.learn(key, c, nil)
	t.out.FirstByte = time.Duration(t.first.Load())
	t.out.Status = resp.StatusCode
	defer resp.Body.Close()
	return t.answered(resp)
}

// needs is what the request wants of its connection; repeatable as for a flow.
func (ex *exchange) needs() needs {
	return needs{
		grpc:       isGRPC(ex.req.Header),
		repeatable: ex.result.Attempts <= 1 && idempotent(ex.r.Method) && ex.req.BodyHeld,
	}
}

// request is what the upstream is sent: the policy's header, the proxy's own fields last.
func (t *try) request(proto Proto) *http.Request {
	ex := t.ex
	scheme, host := "http", t.upstream.Host
	if t.upstream.TLS != nil {
		scheme = "https"
	}
	if host == "" {
		host = ex.r.Host
	}
	targetURL(&t.url, scheme, t.upstream.Addr, host, ex.target)
	t.trace = httptrace.ClientTrace{
		GotFirstResponseByte: func() { t.first.CompareAndSwap(0, int64(max(1, time.Since(t.begin)))) },
		Got1xxResponse:       t.interim,
	}
	if proto == HTTP2 {
		t.trace.WroteHeaders = func() {
			if t.conn.link.usable() { // else they went nowhere
				t.headers.Store(true)
			}
		}
	}
	req := http.Request{
		Method: ex.r.Method, URL: &t.url, Host: host, Header: t.header(proto),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: ex.r.ContentLength,
	}
	t.body.up = &ex.up
	if ex.r.ContentLength != 0 {
		req.Body = &t.body
		if proto == HTTP1 {
			t.conn.link.body.Store(&t.body)
		}
		if len(ex.r.Header["Expect"]) > 0 {
			t.trace.Got100Continue = ex.up.ask
			ex.up.withhold(ex.h.cfg.ExpectTimeout)
		}
		if ex.r.ContentLength < 0 && proto == HTTP1 {
			req.TransferEncoding = []string{"chunked"} // net/http waits for the first byte of a GET's otherwise
		}
		if len(ex.r.Trailer) > 0 || ex.req.Proto == HTTP1 && ex.r.ContentLength < 0 {
			t.body.trailer = make(http.Header, len(ex.r.Trailer))
			for name := range ex.r.Trailer {
				t.body.trailer[name] = nil
			}
			ex.h.private.stripTrailers(Header{fields: t.body.trailer})
			req.Trailer = t.body.trailer
		}
	}
	return req.WithContext(httptrace.WithClientTrace(ex.ctx, &t.trace))
}

func (t *try) header(proto Proto) http.Header {
	ex := t.ex
	h := make(http.Header, len(ex.r.Header)+4)
	for name, values := range ex.r.Header {
		h[name] = values
	}
	Header{fields: h}.delKinds(connectionKinds) // the policy's
	var few [4]string
	if all := ex.req.Header.appendForwarded(few[:0], peerOf(ex.r.RemoteAddr)); len(all) > 0 {
		h["X-Forwarded-For"] = []string{strings.Join(all, ", ")}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // net/http would add its own
	}
	if ex.te {
		h["Te"] = []string{"trailers"}
	}
	if proto != HTTP1 {
		return h
	}
	if ex.req.Upgrade != "" {
		h["Upgrade"] = []string{ex.req.Upgrade}
	}
	if options := connectionOptions(ex.te, ex.req.Upgrade != ""); options != "" {
		h["Connection"] = []string{options}
	}
	return h
}

// interim passes a 1xx answer on. 100 is not the upstream's to send on: net/http sends it when the body is read, which the
// upstream's own 100 sets off.
func (t *try) interim(code int, header textproto.MIMEHeader) error {
	t.conn.link.more.Store(false)
	ex := t.ex
	ex.clock.touch(1)
	t.interims.Lock()
	defer t.interims.Unlock()
	if code == http.StatusContinue || !ex.r.ProtoAtLeast(1, 1) || t.final || !ex.clock.hold(true) {
		return nil
	}
	defer ex.clock.hold(false)
	if err := ex.h.receiveInterim(Header{fields: http.Header(header)}); err != nil {
		return err
	}
	h := ex.w.Header()
	for name, values := range header {
		h[name] = values
	}
	// With this key there, and only then, net/http's HTTP/2 writes a copy of h, without it. It may be at that after
	// WriteHeader has returned, when the stream has been reset.
	h["Content-Length"] = nil
	ex.w.WriteHeader(code)
	clear(h)
	return nil
}

// endInterims returns when none is being written, nor will be: RoundTrip does not wait for its reader when it fails. The
// client's connection is of no more use when the exchange has been cancelled in the middle of one.
func (t *try) endInterims() {
	if !t.interims.TryLock() {
		if t.ex.ctx.Err() != nil {
			_ = t.ex.rc.SetWriteDeadline(time.Now().Add(-time.Second))
		}
		t.interims.Lock()
	}
	t.final = true
	t.interims.Unlock()
}

// reason gives a failure before the answer its name.
func (t *try) reason(err error) *Error {
	if t.ex.ctx.Err() != nil {
		return t.ex.why()
	}
	if broken := t.ex.up.broken(); broken != nil {
		return uploadError(broken)
	}
	return upstreamError(err, t.conn)
}

// failed decides whether the attempt may be repeated: when nothing of the request was processed, or, for a request
// that may be made twice anyway, when a pooled connection turns out to have been closed, or any where the upstream is one of
// several (see Upstream.Replay).
func (t *try) failed(e *Error, unsent, unanswered bool) error {
	t.again = (unsent || unanswered && idempotent(t.ex.r.Method)) && t.mayRepeat() && t.ex.h.budget.withdraw()
	return e
}

func (t *try) mayRepeat() bool {
	return !t.last && t.ex.ctx.Err() == nil && t.ex.up.replayable()
}

// unsent reports that the upstream has nothing of the request, or has said that it did nothing with it.
func (t *try) unsent(proto Proto, err error) bool {
	if proto == HTTP2 {
		return !t.headers.Load() || refused(err)
	}
	return t.conn.link.wrote.Load() == t.before
}

// idempotent methods are those of RFC 9110 §9.2.2.
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
