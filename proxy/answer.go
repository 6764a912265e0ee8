package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// WriteError answers r with err: the one place where errors become statuses. An Error says its own reason and status,
// any other is Internal. A gRPC call gets its status in trailers alone, as a response without a body
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), everybody else a text. name goes into Proxy-Status.
// For ClientGone nothing is written. It returns the HTTP status, or StatusClientClosedRequest.
func WriteError(w http.ResponseWriter, r *http.Request, name string, err error) (status int) {
	a := errorAnswer(name, err, isGRPC(NewHeader(r.Header)))
	a.write(w, r, false)
	return a.status
}

// ownAnswer is an answer of the proxy's own: what it consists of, whoever writes it.
type ownAnswer struct {
	reason Reason // ClientGone: there is nobody to get it
	status int
	header [][2]string
	body   string
	length int  // what Content-Length says; -1: there is none
	last   bool // the HTTP/1.1 connection ends after it: what follows can't be trusted
}

// errorAnswer is the answer to a request that failed with err; grpc: it is a gRPC call.
func errorAnswer(name string, err error, grpc bool) (a ownAnswer) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Reason: Internal, Text: "internal error\n"}
	}
	a.reason, a.status, a.last = ReasonOf(e), e.Status, e.Reason == BadRequest
	if a.reason == ClientGone {
		a.status = StatusClientClosedRequest
		return a
	}
	if a.status == 0 {
		a.status = a.reason.Status()
	}
	a.header = append(a.header, [2]string{"Proxy-Status", proxyStatus(name, a.reason, e.Details)})
	if a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests {
		a.header = append(a.header, [2]string{"Retry-After", retryAfter(e.RetryAfter)})
	}
	a.body = e.Text
	if a.body == "" {
		a.body = e.Error() + "\n"
	}
	if e.Details != "" {
		separator := "\n"
		if grpc {
			separator = ": "
		}
		a.body = strings.TrimSuffix(a.body, "\n") + separator + e.Details + "\n"
	}
	if grpc {
		a.header = append(a.header, [2]string{"Content-Type", "application/grpc"},
			[2]string{grpcStatus, strconv.Itoa(int(reasonTable[a.reason].grpc))},
			[2]string{"Grpc-Message", grpcMessage(strings.TrimSuffix(a.body, "\n"))})
		a.status, a.body = http.StatusOK, ""
		return a
	}
	a.header = append(a.header, [2]string{"Content-Type", "text/plain; charset=utf-8"},
		[2]string{"X-Content-Type-Options", "nosniff"})
	a.length = len(a.body)
	return a
}

// grpcStatus is a trailer; in a head it says that the answer has no body.
const grpcStatus = "Grpc-Status"

// Local is the response that WriteError would give to req, for a policy that adds fields to it: those of more come last.
func (e *Error) Local(req *Request, name string, more ...[2]string) *Local {
	a := errorAnswer(name, e, isGRPC(req.Header))
	return &Local{Status: a.status, Header: append(a.header, more...), Body: a.body, Reason: e.Reason}
}

// local is the answer l to req, with the body and the length that its status allows. A status that is no final one is an
// error of the policy's.
func (h *Handler) local(req *Request, l *Local) ownAnswer {
	a := ownAnswer{reason: l.Reason, status: l.Status, header: ownFields(l.Header), body: l.Body, length: len(l.Body)}
	switch {
	case l.Reason == ClientGone:
		a.status = StatusClientClosedRequest
	case l.Status < 200 || l.Status > 999:
		return errorAnswer(h.cfg.Name, fmt.Errorf("proxy: Local.Status is %d", l.Status), isGRPC(req.Header))
	case l.Status == http.StatusNoContent, l.Status == http.StatusNotModified:
		a.body, a.length = "", -1
	case slices.ContainsFunc(a.header, func(f [2]string) bool { return f[0] == grpcStatus }):
		a.body, a.length = "", 0
	}
	return a
}

// appendHead appends its head for HTTP/1.1, up to what it says of the connection and the empty line.
func (a *ownAnswer) appendHead(b []byte) []byte {
	b = h1.AppendStatusLine(b, a.status, http.StatusText(a.status))
	b = h1.AppendEnd(time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat))
	for _, f := range a.header {
		b = h1.AppendField(b, f[0], f[1])
	}
	if a.length >= 0 {
		b = h1.AppendLength(b, int64(a.length))
	}
	return b
}

// write has net/http send it, closing the connection afterwards if need be, and returns how many bytes of its body went out.
func (a *ownAnswer) write(w http.ResponseWriter, r *http.Request, closing bool) (bytes int) {
	if a.reason == ClientGone {
		return 0
	}
	h := w.Header()
	for _, f := range a.header {
		delete(h, f[0])
	}
	for _, f := range a.header {
		h[f[0]] = append(h[f[0]], f[1])
	}
	if closing || a.last && r.ProtoMajor < 2 {
		h["Connection"] = []string{"close"}
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http would guess
	}
	if a.length >= 0 {
		h["Content-Length"] = []string{strconv.Itoa(a.length)}
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead && a.body != "" {
		bytes, _ = w.Write([]byte(a.body)) // a client that has gone is noticed by net/http
	}
	return bytes
}

// answer has net/http answer a request that fails before a policy is asked.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, err error) {
	a := errorAnswer(h.cfg.Name, err, isGRPC(NewHeader(r.Header)))
	a.write(w, r, h.draining.Load())
}

// refusal is the HTTP/1.1 answer, in full, to bytes that are no request: e says why.
func (h *Handler) refusal(e *Error) []byte {
	a := errorAnswer(h.cfg.Name, e, false)
	return append(h1.AppendEnd(h1.AppendField(a.appendHead(nil), "Connection", "close")), a.body...)
}

// retryAfter is a Retry-After in seconds (RFC 9110 §10.2.3): at least one.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// isGRPC reports whether a request is a gRPC call, by its Content-Type.
func isGRPC(h Header) bool {
	rest, ok := strings.CutPrefix(h.Get("Content-Type"), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// proxyStatus is a Proxy-Status field (RFC 9209): one member of a structured list (RFC 9651).
func proxyStatus(name string, reason Reason, details string) string {
	var b strings.Builder
	if isToken(name) {
		b.WriteString(name)
	} else {
		appendString(&b, name)
	}
	b.WriteString("; error=")
	b.WriteString(reason.ProxyStatus())
	b.WriteString("; details=")
	if details != "" {
		details = ": " + details
	}
	appendString(&b, reason.String()+details)
	return b.String()
}

// isToken reports whether s is an sf-token (RFC 9651 §3.3.4).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alpha := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !alpha && (i > 0 || c != '*') && (i == 0 || !('0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~:/", c) < 0) {
			return false
		}
	}
	return s != ""
}

// appendString writes s as an sf-string (RFC 9651 §3.3.3), which holds printable ASCII only: other bytes become '?'.
func appendString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// grpcMessage percent-encodes what is not printable ASCII, and the percent sign, as gRPC wants it.
func grpcMessage(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
