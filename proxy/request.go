package proxy

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
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
	park(t Timeouts) context.Context
	suspend(t Timeouts) (wake func())
	tls() *tls.ConnectionState
	detached() *http.Request
}

// Response is the head of an upstream's final (or 101) answer.
type Response struct {
	Status int
	Header Header
}

// Park says that the policy is about to wait, in Next. The context that it returns ends when the client goes, whether its
// body has been read or not (ClientGone), and when Total or ResponseStart of t, counted from Arrived, is over (TimeoutTotal,
// TimeoutStart); its cause (context.Cause) is an *Error with that reason, which Next may return. Idle is ignored: nothing
// flows while a request waits. The context is cancelled when Next returns. Calling Park again in the same Next replaces t.
func (r *Request) Park(t Timeouts) context.Context { return r.ex.park(t) }

// Suspend is Park for a policy whose waits need no goroutine, which takes an Engine a fraction of the memory: Next
// returns Wait, and is called once more, with the same Attempt, when wake has been called; or with Attempt.Ended when the
// client has gone or a timeout of t is over. wake may be called from anywhere and at any time, also before Next has
// returned; it does not block, and after the first time it does nothing.
func (r *Request) Suspend(t Timeouts) (wake func()) { return r.ex.suspend(t) }

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
