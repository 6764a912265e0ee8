package h1

import "net/http"

// Error is what is wrong with a message.
type Error struct {
	Status int // of the answer, if the message is a request
	Text   string
}

func (e *Error) Error() string { return e.Text }

// What can be wrong with a message.
var (
	ErrLineEnd        = bad("malformed line end: CR and LF come together (RFC 9112 §2.2)")
	ErrRequestLine    = bad("malformed request line (RFC 9112 §3)")
	ErrMethod         = bad("malformed method (RFC 9110 §9.1)")
	ErrTarget         = bad("malformed request-target (RFC 9112 §3.2)")
	ErrStatusLine     = bad("malformed status line (RFC 9112 §4)")
	ErrField          = bad("malformed field line (RFC 9112 §5)")
	ErrFieldName      = bad("malformed field name (RFC 9110 §5.1)")
	ErrFieldValue     = bad("malformed field value (RFC 9110 §5.5)")
	ErrFold           = bad("obsolete line folding (RFC 9112 §5.2)")
	ErrNoHost         = bad("missing Host (RFC 9112 §3.2)")
	ErrHosts          = bad("more than one Host (RFC 9112 §3.2)")
	ErrHost           = bad("malformed Host (RFC 9110 §7.2)")
	ErrLength         = bad("malformed Content-Length (RFC 9110 §8.6)")
	ErrLengths        = bad("more than one Content-Length (RFC 9112 §6.3)")
	ErrLengthAndCode  = bad("Content-Length and Transfer-Encoding (RFC 9112 §6.1)")
	ErrOldCoding      = bad("Transfer-Encoding of HTTP/1.0 (RFC 9112 §6.1)")
	ErrTrailer        = bad("malformed Trailer (RFC 9110 §6.5.1)")
	ErrChunkSize      = bad("malformed chunk size (RFC 9112 §7.1)")
	ErrChunkExtension = bad("malformed chunk extension (RFC 9112 §7.1.1)")
	ErrChunkEnd       = bad("chunk without its line end (RFC 9112 §7.1)")
	ErrChunkOverhead  = bad("chunks of more framing than content")

	ErrCoding       = &Error{http.StatusNotImplemented, "unsupported Transfer-Encoding (RFC 9112 §6.1)"}
	ErrVersion      = &Error{http.StatusHTTPVersionNotSupported, "unsupported version (RFC 9110 §2.5)"}
	ErrLineTooLong  = &Error{http.StatusRequestURITooLong, "request line too long (RFC 9112 §3)"}
	ErrHeadTooLarge = &Error{http.StatusRequestHeaderFieldsTooLarge, "head too large (RFC 6585 §5)"}
	ErrFields       = &Error{http.StatusRequestHeaderFieldsTooLarge, "too many fields (RFC 6585 §5)"}
	ErrExpect       = &Error{http.StatusExpectationFailed, "unknown expectation (RFC 9110 §10.1.1)"}
)

func bad(text string) *Error { return &Error{http.StatusBadRequest, text} }
