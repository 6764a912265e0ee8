package proxy

import (
	"crypto/tls"
	"errors"
	"time"
)

// A Policy knows the rules and touches no byte. Begin makes one Exchange per request, after its head has been read and
// before its body; hop-by-hop fields have been removed from the header by then. Begin must not block.
// A Policy is safe for concurrent use.
type Policy interface {
	Begin(req *Request) Exchange
}

// An Exchange decides what becomes of one request. Its methods are called in the order
//
//	Begin → Next → Response → Release → (Next → Response → Release …) → End
//
// and never two at once, though not always from one goroutine. A policy around another may leave out any of the inner one's
// methods but End, which then gives back whatever Next has taken. To implement the interface, embed a [NopExchange].
type Exchange interface {
	// Next decides: the request goes to an upstream ([Forward]), is answered by the policy ([Answer]), or waits ([Wait]). It
	// is called again after a wait, and after an attempt that gave the client nothing; the earlier upstream has been released
	// before, so that a retry never holds a slot while it asks for one. To give up it returns a.Cause.
	// Next may block, on the context of req.Park only. Its error becomes the answer (see Error).
	Next(req *Request, a Attempt) (Decision, error)
	// Response sees the final (or 101) head before it is passed on, and may edit its header. False discards the answer
	// and asks Next for another upstream, unless this was the last attempt; it is ignored unless the head has the field that
	// Upstream.NotProcessed names. It must not block.
	Response(req *Request, resp *Response) (pass bool)
	// Release gives the upstream back, once per Upstream that Next has chosen, when both directions have ended: the only place
	// that judges a pod. It must not block.
	Release(h Upstream, o AttemptResult)
	// End is called exactly once, also after a failed Next: the only place that counts a request. It must not block.
	End(req *Request, r Result)
}

// Attempt is what is known of a request when Next is called.
type Attempt struct {
	N     int   // attempts made before this one: 0 at first
	Cause error // why the attempt before failed; nil at first. An *Error
	// Last says that no attempt follows this one, whatever becomes of it.
	Last bool
	// Ended is set when a wait that Request.Suspend began is over before its time: an *Error, which says why.
	Ended error
}

// A Decision is what Next returns; [Forward], [Answer] and [Wait] make them.
type Decision struct {
	Upstream Upstream // where the request goes, if nothing else is said below
	Local    *Local   // an answer of the policy's own; it is neither shown to Response nor released
	Wait     bool     // Request.Suspend has been called: Next is called again when that wait is over
}

// Forward sends the request to an upstream.
func Forward(to Upstream) Decision { return Decision{Upstream: to} }

// Answer has the request answered by the policy itself.
func Answer(l *Local) Decision { return Decision{Local: l} }

// Wait has Next called again when the wait that Request.Suspend has begun is over.
func Wait() Decision { return Decision{Wait: true} }

// NopExchange does nothing: it is for embedding, so that an Exchange implements only what it needs. Its Next fails.
type NopExchange struct{}

// Next fails, as Internal.
func (NopExchange) Next(*Request, Attempt) (Decision, error) { return Decision{}, errNoNext }

// Response passes every answer on.
func (NopExchange) Response(*Request, *Response) bool { return true }

// Release does nothing.
func (NopExchange) Release(Upstream, AttemptResult) {}

// End does nothing.
func (NopExchange) End(*Request, Result) {}

var errNoNext = errors.New("proxy: the exchange has no Next of its own")

// Upstream is one place to send a request to.
type Upstream struct {
	Addr string      // host:port
	TLS  *tls.Config // nil: cleartext. Upstreams with the same *tls.Config share connections
	Host string      // Host (:authority) for this upstream; empty: the request's
	// Proto is the protocol spoken to the upstream; the zero value is SameProto.
	Proto Proto
	// Timeouts bound the exchange. They count from From, or from the arrival of the head when From is zero.
	Timeouts Timeouts
	From     time.Time
	// Replay lets an idempotent request (RFC 9110 §9.2.2) be sent once more when the connection to this upstream ends before any of
	// an answer, be it a fresh one: such an end says more of the upstream than of the request, which may go to another. Without it
	// only the end of a pooled connection does, which may have come before the request.
	Replay bool
	// NotProcessed is a field of an answer by which this upstream says that it has not processed the request, so that it may
	// be sent elsewhere whatever its method. Empty: the upstream isn't believed, since an app behind it may say anything.
	NotProcessed string
}

// Local is an answer of the policy's own. Its body has the length that Content-Length says.
type Local struct {
	Status int
	Header [][2]string
	Body   string
	// Reason is that of Result; ReasonNone: it is no error. Error.Local makes one that is. Of ClientGone nothing is written.
	Reason Reason
}

// Timeouts of a request; zero is off.
type Timeouts struct {
	Total         time.Duration // the whole exchange
	ResponseStart time.Duration // until the first byte of the final answer; behind a 101, of what the upstream says on the upgraded connection
	Idle          time.Duration // without a byte in either direction
}

// AttemptResult is what an upstream showed of itself.
type AttemptResult struct {
	Reason                    Reason // ReasonNone: answered in full
	Status                    int    // of the final answer; 0 when there was none
	Connect, FirstByte, Total time.Duration
	Reused                    bool // the attempt went over a pooled connection
}

// Result is what became of a request.
type Result struct {
	Reason             Reason // ReasonNone: answered by an upstream, or by a Local that is no error
	Status             int    // as the client saw it; 499 when it was gone before an answer
	BytesIn, BytesOut  int64  // bodies
	Wait, Start, Total time.Duration
	Attempts           int
}

// Proto is a protocol of HTTP.
type Proto uint8

// The protocols. SameProto stands, in an Upstream, for that of the client; for a request of HTTP/2 to an upstream that turns out to speak
// HTTP/1.1 only it is HTTP/1.1. That is found out before anything of a request is sent, by how the upstream takes the beginning of
// HTTP/2 on a new connection, and believed until a connection to it is refused or breaks. A gRPC call to such an upstream fails as
// BadResponse.
const (
	SameProto Proto = iota
	HTTP1
	HTTP2
)
