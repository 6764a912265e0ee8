package proxy

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

var (
	errUpstreamClosed = errors.New("the upstream closed the connection before its answer")
	errUpstreamWrong  = errors.New("the upstream's answer is malformed")
)

// upstreamError gives what http.ClientConn returned its reason. net/http exports few of its errors.
func upstreamError(err error, c *conn) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, errUploadEnded) { // net/http closed the connection while the body was being sent: see link.body
		if c.link.ended.Load() {
			return &Error{Reason: UpstreamClosed, Err: errUpstreamClosed}
		}
		return &Error{Reason: BadResponse, Err: errUpstreamWrong}
	}
	if closed(err) {
		return &Error{Reason: UpstreamClosed, Err: err}
	}
	return &Error{Reason: BadResponse, Err: err}
}

// closed reports that the connection, or the stream, ended rather than carried something wrong.
func closed(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok { // of netio
		return true
	}
	if s, ok := errors.AsType[streamError](err); ok {
		return s.Code != errCodeProtocol
	}
	text := err.Error()
	for _, end := range []string{
		"server closed idle connection", "connection closed", "connection lost", "GOAWAY", "not usable", "use of closed",
	} {
		if strings.Contains(text, end) {
			return true
		}
	}
	return false
}

// refused reports that an HTTP/2 server did nothing with a request: it refused the stream, or is leaving and had not
// come to it (RFC 9113 §8.7).
func refused(err error) bool {
	if s, ok := errors.AsType[streamError](err); ok {
		return s.Code == errCodeRefused
	}
	text := err.Error()
	return strings.Contains(text, "graceful shutdown GOAWAY") || strings.Contains(text, "client conn not usable")
}

// streamError has the shape of net/http's error for a stream that was reset, which errors.As converts to it.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "stream reset" }

// Error codes of RFC 9113 §7.
const (
	errCodeProtocol = 0x1
	errCodeRefused  = 0x7
)

// uploadError gives what net/http returned for the body of a request its reason: its framing is wrong, or its sender
// has gone.
func uploadError(err error) *Error {
	text := err.Error()
	if !errors.Is(err, io.ErrUnexpectedEOF) && (strings.Contains(text, "chunk") || strings.Contains(text, "malformed") || strings.Contains(text, "trailer")) {
		return &Error{Reason: BadRequest, Err: err}
	}
	return errClientGone
}
