package proxy

import (
	"errors"
	"time"
)

// Error is a request that was not answered by its app: what Next returns to have it answered so, and what Attempt.Cause
// holds. Any other error from Next is answered as Internal, and its text, which may say anything, is not shown.
type Error struct {
	Reason Reason // required
	Status int    // 0: that of the reason
	// Text is the body of the answer (gRPC: the message), sent as it is. Empty: the text of Err and a newline.
	Text string
	// Details is a sentence for people that says more: it stands in a line of its own below Text (gRPC: behind it), and in
	// the details of Proxy-Status (RFC 9209 §2.1.5) behind the name of the reason. Empty: there is nothing more to say.
	Details string
	// RetryAfter goes into the Retry-After of a 503 or 429, in whole seconds, rounded up. 0: one second.
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Text != "":
		return e.Text
	}
	return e.Reason.String()
}

func (e *Error) Unwrap() error { return e.Err }

// ReasonOf finds the Reason of an error: that of the Error in its chain, ReasonNone for nil, Internal for others.
func ReasonOf(err error) Reason {
	if err == nil {
		return ReasonNone
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Reason != ReasonNone {
		return e.Reason
	}
	return Internal
}
