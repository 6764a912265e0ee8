package proxy

import (
	"crypto/tls"
	"errors"
	"time"
)

// A Policy decides what becomes of requests; the proxy moves their bytes. Begin makes one Exchange per request, after its
// head has been read and before its body; hop-by-hop fields have been removed from the header by then. Begin must not
// block, and is called concurrently.
type Policy interface {
	Begin(req *Request) Exchange
}

// An Exchange decides what becomes of one request. Its methods are called in the order
//
//	Begin → Next → Response → Release → (Next → Response → Release …) → End
//
// and never two at once, though not always on one goroutine. To implement the interface, embed a [NopExchange].
//
// A policy that wraps another embeds the inner one's Exchange, as the example of sidecar.WithPolicy does. It may skip any of
// the inner one's methods except End. So End of every Exchange releases what Next has taken and Release has not given back.
type Exchange interface {
	// Next decides: the request goes to an upstream ([Forward]), is answered by the policy ([Answer]), or waits ([Wait]). It
	// is called again after a wait, and after an attempt that sent nothing to the client; the earlier upstream has been
	// released by then, so that a retry never holds a slot while it waits for one. To give up it returns a.Cause. Its error
	// becomes the response (see Error). It must not block: see Request.Suspend and Request.Await.
	Next(req *Request, a Attempt) (Decision, error)
	// Response gets the final (or 101) head before it is passed on, and may edit its header. If it returns false the response
	// is discarded and Next is called for another upstream, unless this was the last attempt; false is ignored unless the head
	// has the field that Upstream.NotProcessed names. It must not block.
	Response(req *Request, resp *Response) (pass bool)
	// Release is called once per Upstream that Next has chosen, when both directions have ended, with what the attempt says of
	// that upstream. It must not block.
	Release(from Upstream, o AttemptResult)
	// End is called exactly once, also after a failed Next, with what became of the request. It must not block.
	End(req *Request, r Result)
}

// Attempt is what is known of a request when Next is called.
type Attempt struct {
	N     int   // attempts made before this one: 0 at first
	Cause error // why the attempt before failed; nil at first. An *Error
	// Last says that no attempt follows this one, whatever becomes of it.
	Last bool
	// Ended is set when the wait before this call has ended early, by a timeout or because the client left, say: an *Error,
	// which says why.
	Ended error
}

// A Decision is what Next returns; [Forward], [Answer] and [Wait] make them.
type Decision struct {
	Upstream Upstream // where the request goes, if neither of the others is set; it needs an Addr then
	Local    *Local   // the policy's own response; neither Response nor Release is called for it
	Wait     bool     // Request.Suspend or Await has been called: Next is called again when that wait is over
}

// Forward sends the request to an upstream.
func Forward(to Upstream) Decision { return Decision{Upstream: to} }

// Answer responds to the request without an upstream.
func Answer(l *Local) Decision { return Decision{Local: l} }

// Wait parks the request: Next is called again when the wait of Request.Suspend or Await is over.
func Wait() Decision { return Decision{Wait: true} }

// NopExchange does nothing: it is for embedding, so that an Exchange implements only what it needs. Its Next fails.
type NopExchange struct{}

// Next fails, as Internal.
func (NopExchange) Next(*Request, Attempt) (Decision, error) { return Decision{}, errNoNext }

// Response passes every response on.
func (NopExchange) Response(*Request, *Response) bool { return true }

// Release does nothing.
func (NopExchange) Release(Upstream, AttemptResult) {}

// End does nothing.
func (NopExchange) End(*Request, Result) {}

var errNoNext = errors.New("proxy: the exchange has no Next of its own")

// Upstream is one place to send a request to.
type Upstream struct {
	Addr string      // host:port; required
	TLS  *tls.Config // nil: cleartext. Upstreams with the same *tls.Config share connections
	Host string      // Host (:authority) for this upstream; empty: the request's
	// Proto is the protocol spoken to the upstream; the zero value is SameProto.
	Proto Proto
	// Timeouts bound the exchange. They count from From, or from the arrival of the head when From is zero.
	Timeouts Timeouts
	From     time.Time
	// Replay lets an idempotent request (RFC 9110 §9.2.2) be sent again when any connection to this upstream ends before the
	// first byte of a response, since another upstream may serve it. Without Replay that is so for pooled connections only,
	// which may have ended before the request was sent.
	Replay bool
	// NotProcessed names a field of a response by which this upstream says that it has not processed the request, so that it
	// may be sent elsewhere whatever its method. Empty: no such field is believed, since an app may send any field.
	NotProcessed string
}

// Local is a policy's own response.
type Local struct {
	Status int // of a final response: 200 at least
	// Header has the names and values of fields, which are sent as they are: names in canonical form, and no CR or LF. The
	// proxy adds Date, Content-Length (of Body) and what it says of the connection; those don't belong here.
	Header [][2]string
	Body   string
	// Reason is that of Result; ReasonNone: it is no error. Error.Local makes a Local of an error. For ClientGone nothing is
	// written.
	Reason Reason
}

// Timeouts of a request; zero is off.
type Timeouts struct {
	Total         time.Duration // the whole exchange
	ResponseStart time.Duration // until the first byte of the final response; after a 101, of the upstream on the upgraded connection
	Idle          time.Duration // without a byte in either direction
}

// AttemptResult is how an attempt at an upstream ended.
type AttemptResult struct {
	Reason                    Reason        // ReasonNone: answered in full
	Status                    int           // of the final response; 0 when there was none
	Connect, FirstByte, Total time.Duration // since the attempt began, until there was a connection, an answer, an end; 0: there was none
	Reused                    bool          // the attempt went over a pooled connection
}

// Result is what became of a request.
type Result struct {
	Reason            Reason        // ReasonNone: answered by an upstream, or by a Local that is no error
	Status            int           // as sent to the client; 499 when it left before a response
	BytesIn, BytesOut int64         // bodies
	Wait              time.Duration // for which the policy had the request wait
	Start, Total      time.Duration // since Arrived, until the response began (0: it didn't) and until all ended
	Attempts          int           // at upstreams; a Local counts as one
}

// Proto is a protocol of HTTP.
type Proto uint8

// The protocols. SameProto, in an Upstream, is the client's protocol; but a request of HTTP/2 is sent as HTTP/1.1 to an
// upstream that speaks only that. This is found out before anything of a request is sent, by how the upstream responds to
// HTTP/2's connection preface on a new connection, and remembered until a connection to it is refused or breaks. A gRPC call
// to such an upstream fails as BadResponse.
const (
	SameProto Proto = iota
	HTTP1
	HTTP2
)
