package proxy

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// Request is the head of a request. Header is the policy's to edit: what it holds when Next returns goes to the upstream,
// after X-Forwarded-For has got the peer's address. The other fields are for reading.
type Request struct {
	Method string
	Target string // the request-target as received: never normalised
	Host   string // Host or :authority
	Proto  Proto
	Header Header
	// RemoteAddr is the peer's host:port.
	RemoteAddr string
	// ContentLength is that of the body; -1 when unknown, 0 when there is none.
	ContentLength int64
	// BodyHeld says that the proxy keeps all of the body until there is an answer, so that it can be sent once more: its
	// length is known, and 64 KiB at most. Of any other body nothing may be left for a second attempt.
	BodyHeld bool
	// Upgrade is the protocol that the client asks to switch to; empty for h2c, which is declined.
	Upgrade string
	Arrived time.Time // when the head was complete

	ex carrier
}

// carrier is what takes a request through: an exchange of Handler's, or a flow of Engine's.
type carrier interface {
	suspend(t Timeouts) (wake func())
	await(t Timeouts, f func(ctx context.Context))
	tls() *tls.ConnectionState
	detached() *http.Request
}

// Response is the head of an upstream's final (or 101) answer.
type Response struct {
	Status int
	Header Header
}

// Suspend has the request wait without a goroutine. Next returns Wait, and is called once more, with the same Attempt, when
// wake has been called; or with Attempt.Ended when the client has gone, whether its body has been read or not (ClientGone),
// or Total or ResponseStart of t, counted from Arrived, is over (TimeoutTotal, TimeoutStart). Idle is ignored: nothing flows
// while a request waits. wake may be called from anywhere and at any time, also before Next has returned; it does not block,
// and after the first time it does nothing.
//
// The last wait that a Next has asked for counts, and none if it doesn't return Wait.
func (r *Request) Suspend(t Timeouts) (wake func()) { return r.ex.suspend(t) }

// Await is Suspend for what can't be done without blocking. It returns Wait, for Next to return; then f is called, on a
// goroutine where it may block, and when it has returned, Next. Meanwhile the Request and the Exchange are f's alone. What
// would end a wait of Suspend cancels ctx, with that error as its cause: f has to return then. If f panics, the request ends
// as if Next had.
func (r *Request) Await(t Timeouts, f func(ctx context.Context)) Decision {
	r.ex.await(t, f)
	return Wait()
}

// HeadBytes is the size of the head, which a request holds while it waits: each field with the ": " and CRLF of its line.
func (r *Request) HeadBytes() int {
	n := len(r.Method) + len(r.Target) + len(r.Host)
	for name, value := range r.Header.All() {
		n += len(name) + len(value) + 4
	}
	return n
}

// TLS is the state of the connection that the request came over; nil: cleartext.
func (r *Request) TLS() *tls.ConnectionState { return r.ex.tls() }

// HTTP is a detached copy of the request's head for log templates and propagators; it allocates. Its Body is
// http.NoBody.
func (r *Request) HTTP() *http.Request { return r.ex.detached() }

// detach is HTTP for a request of an Engine, of a version.
func (r *Request) detach(proto string, major, minor int) *http.Request {
	h := &http.Request{
		Method: r.Method, RequestURI: r.Target, Host: r.Host, Header: httpHeader(*r.Header.list),
		Proto: proto, ProtoMajor: major, ProtoMinor: minor, ContentLength: r.ContentLength,
		RemoteAddr: r.RemoteAddr, Body: http.NoBody, TLS: r.TLS(),
	}
	for name := range h.Header {
		switch h1.KindOf(name) {
		case h1.TransferEncoding, h1.Trailer:
			delete(h.Header, name)
		}
	}
	if r.ContentLength < 0 && major == 1 {
		h.TransferEncoding = []string{"chunked"}
	}
	u, err := url.ParseRequestURI(r.Target)
	if err != nil {
		u = &url.URL{Path: r.Target}
	}
	h.URL = u
	return h
}
