package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WriteError answers r with err: the one place where errors become statuses. An Error says its own reason and status,
// any other is Internal. A gRPC call gets its status in trailers alone, as a response without a body
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), everybody else a text. name goes into Proxy-Status.
// For ClientGone nothing is written. It returns the HTTP status, or StatusClientClosedRequest.
func WriteError(w http.ResponseWriter, r *http.Request, name string, err error) (status int) {
	a := errorAnswer(name, err, isGRPC(r.Header["Content-Type"]))
	a.write(w, r)
	return a.status
}

// write sends the answer and returns how many bytes of its body went out.
func (a *errorAnswered) write(w http.ResponseWriter, r *http.Request) (bytes int) {
	if a.status == StatusClientClosedRequest {
		return 0
	}
	h := w.Header()
	for _, f := range a.header {
		h[f[0]] = []string{f[1]}
	}
	if !a.bodiless {
		h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead && a.body != "" {
		bytes, _ = w.Write([]byte(a.body)) // a client that has gone is noticed by net/http
	}
	return bytes
}

// errorAnswered is an error as an answer. Its status is StatusClientClosedRequest when there is nobody to get it.
type errorAnswered struct {
	status   int
	header   [][2]string
	body     string
	bodiless bool // its end is that of the head: gRPC
}

// errorAnswer is what WriteError says.
func errorAnswer(name string, err error, grpc bool) (a errorAnswered) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Reason: Internal, Text: "internal error\n"}
	}
	if e.Reason == ClientGone {
		a.status = StatusClientClosedRequest
		return a
	}
	a.status = e.Status
	if a.status == 0 {
		a.status = e.Reason.Status()
	}
	a.header = append(a.header, [2]string{"Proxy-Status", proxyStatus(name, e)})
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
			[2]string{"Grpc-Status", strconv.Itoa(int(reasonTable[e.Reason].grpc))},
			[2]string{"Grpc-Message", grpcMessage(strings.TrimSuffix(a.body, "\n"))})
		a.status, a.body, a.bodiless = http.StatusOK, "", true
		return a
	}
	a.header = append(a.header, [2]string{"Content-Type", "text/plain; charset=utf-8"},
		[2]string{"X-Content-Type-Options", "nosniff"})
	return a
}

// Local is what WriteError answers to req, for a policy that adds to it. More fields come after its own.
func (e *Error) Local(req *Request, name string, more ...[2]string) *Local {
	a := errorAnswer(name, e, isGRPC([]string{req.Header.Get("Content-Type")}))
	return &Local{Status: a.status, Header: append(a.header, more...), Body: a.body, Reason: e.Reason}
}

// answer is WriteError for a Handler's own answers.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, err error) (status, bytes int) {
	if h.draining.Load() {
		w.Header()["Connection"] = []string{"close"}
	}
	a := errorAnswer(h.cfg.Name, err, isGRPC(r.Header["Content-Type"]))
	return a.status, a.write(w, r)
}

// fail answers with an error before anything has been written.
func (ex *exchange) fail(err error) {
	ex.result.Reason = ReasonOf(err)
	ex.ready()
	if ex.result.Reason == ClientGone {
		ex.result.Status = StatusClientClosedRequest
		ex.aborted = true // nothing is to follow on this connection
		return
	}
	ex.result.Start = time.Since(ex.req.Arrived)
	status, n := ex.h.answer(ex.w, ex.r, err)
	ex.result.Status = status
	ex.bytesOut.Add(int64(n))
	ex.sendNow()
}

// own gives an answer that is no error.
func (ex *exchange) own(status int, body string) {
	ex.ready()
	h := ex.w.Header()
	if ex.h.draining.Load() {
		h["Connection"] = []string{"close"}
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http would guess
	}
	_, grpc := h["Grpc-Status"] // its end is that of the head
	if !grpc && status != http.StatusNoContent && status != http.StatusNotModified {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	ex.result.Status, ex.result.Start = status, time.Since(ex.req.Arrived)
	ex.w.WriteHeader(status)
	if ex.r.Method != http.MethodHead && body != "" {
		n, _ := ex.w.Write([]byte(body))
		ex.bytesOut.Add(int64(n))
	}
	ex.sendNow()
}

// ready makes way for an answer of the proxy's own: the clock stops, and on HTTP/1.1 net/http, which reads what is left
// of the body before it writes, gets little time for that. Nothing further comes on a connection whose body is stuck.
func (ex *exchange) ready() {
	ex.clock.stop()
	if stuck := ex.up.stop(ex.interrupt); stuck && ex.req.Proto == HTTP1 {
		ex.w.Header()["Connection"] = []string{"close"}
	}
	ex.settle(beforeAnswer)
}

// sendNow has an answer of the proxy's own go out before net/http waits for the rest of the body.
func (ex *exchange) sendNow() {
	if ex.req.Proto == HTTP1 && !ex.up.complete() {
		_ = ex.rc.Flush() // a client that has gone is noticed by net/http
	}
}

// retryAfter is a Retry-After in seconds (RFC 9110 §10.2.3): at least one.
func retryAfter(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// isGRPC looks at the values of Content-Type.
func isGRPC(types []string) bool {
	if len(types) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(types[0], "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// proxyStatus is a Proxy-Status field (RFC 9209): one member of a structured list (RFC 9651).
func proxyStatus(name string, e *Error) string {
	var b strings.Builder
	if isToken(name) {
		b.WriteString(name)
	} else {
		appendString(&b, name)
	}
	b.WriteString("; error=")
	b.WriteString(e.Reason.ProxyStatus())
	b.WriteString("; details=")
	details := e.Reason.String()
	if e.Details != "" {
		details += ": " + e.Details
	}
	appendString(&b, details)
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
