package proxy

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"time"
)

var errDiscarded = errors.New("the upstream has not processed the request")

// answered passes the final answer of an upstream on.
func (t *try) answered(resp *http.Response) error {
	ex := t.ex
	if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols || resp.StatusCode > 999 {
		return malformed("status %d", resp.StatusCode)
	}
	head := Response{Status: resp.StatusCode, Header: Header{fields: resp.Header}}
	upstream, discard, err := ex.h.receive(ex.x, &ex.req, &head, &t.upstream)
	if err != nil {
		return err
	}
	t.keep = upstream.idle
	ex.h.private.stripTrailers(Header{fields: resp.Trailer})
	if discard && t.mayRepeat() {
		t.again = true
		drain(resp.Body)
		return &Error{Reason: Busy, Status: resp.StatusCode, Err: errDiscarded}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return t.upgrade(resp, upstream.upgrade)
	}
	if !ex.writeHead(resp) {
		return ex.why()
	}
	return t.copyBody(resp)
}

// writeHead hands the head of the final answer to net/http; false when a timeout, or the client's leaving, came first.
func (ex *exchange) writeHead(resp *http.Response) bool {
	half := ex.req.Proto == HTTP1 && ex.r.ContentLength != 0
	if half {
		// Without it net/http would eat what the client still sends, and the upstream miss it.
		_ = ex.rc.EnableFullDuplex()
	}
	if !ex.clock.begin() {
		return false
	}
	h := ex.w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http would guess
	}
	if ex.h.draining.Load() || half && !ex.up.complete() {
		// The second: should the body not come to its end, the connection can't be used again, and this is
		// the last time to say so.
		h["Connection"] = []string{"close"}
	}
	if goesOn(resp) && ex.te && ex.req.Proto == HTTP1 && resp.ProtoMajor == 2 {
		// HTTP/2 has trailers behind a length too, announced or not, and HTTP/1.1 only behind chunks.
		delete(h, "Content-Length")
	}
	if len(resp.Trailer) > 0 && goesOn(resp) {
		names := make([]string, 0, len(resp.Trailer))
		for name := range resp.Trailer {
			names = append(names, name)
		}
		h["Trailer"] = []string{strings.Join(names, ", ")}
	}
	ex.writing.Store(true)
	ex.result.Reason, ex.result.Status, ex.result.Start = ReasonNone, resp.StatusCode, time.Since(ex.req.Arrived)
	ex.w.WriteHeader(resp.StatusCode)
	if half {
		ex.up.ask()
	}
	return true
}

// goesOn reports whether something can come after the head of an answer: over HTTP/2 also where the length or the status
// says that there is no body, since trailers may. Where the head has ended the stream, net/http's body is one of several
// types that hold nothing, http.NoBody's among them.
func goesOn(resp *http.Response) bool { return reflect.TypeOf(resp.Body).Size() > 0 }

// copyBody passes the body on as it comes, and its trailers.
func (t *try) copyBody(resp *http.Response) error {
	ex := t.ex
	left := resp.ContentLength // -1: unknown
	bodiless := ex.r.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified
	if bodiless {
		left = 0 // whatever the length is that an answer to GET or a 200 would have
	}
	if left == 0 && !goesOn(resp) {
		return nil
	}
	// Head and body go out together when they came together.
	if !t.conn.link.more.Load() {
		if err := ex.rc.Flush(); err != nil {
			return ex.clientWrite()
		}
	}
	if bodiless {
		_, _ = io.Copy(io.Discard, resp.Body) // only its end matters, and net/http's client misses the body that a 304 tells of
		if err := ex.ended(); err != nil {
			return err
		}
	} else if err := ex.stream(resp.Body, left); err != nil {
		return err
	}
	return ex.trail(resp.Trailer)
}

// trail passes on the trailers that have come: those that were announced only are in all as well, without a value, and
// net/http's server would write an empty block for them on HTTP/2, which is no frame at all, so that the stream never ended.
func (ex *exchange) trail(all http.Header) error {
	ex.h.private.stripTrailers(Header{fields: all})
	maps.DeleteFunc(all, func(_ string, values []string) bool { return len(values) == 0 })
	if len(all) == 0 {
		return nil
	}
	if err := ex.rc.Flush(); err != nil { // for trailers HTTP/1.1 has to be chunked, and HTTP/2 to have begun
		return ex.clientWrite()
	}
	h := ex.w.Header()
	for name, values := range all {
		h[http.TrailerPrefix+name] = values
	}
	return nil
}

// stream copies a body of left bytes, or -1, and flushes whatever comes.
func (ex *exchange) stream(src io.Reader, left int64) error {
	buf := scratch{h: ex.h}
	defer buf.free()
	n, expected := 0, int(min(left, copyBuffer))
	for {
		b := buf.next(max(n, expected))
		var err error
		n, err = src.Read(b)
		if n > 0 {
			expected = 0
			ex.clock.touch(n)
			m, werr := ex.w.Write(b[:n])
			ex.bytesOut.Add(int64(m))
			if left > 0 {
				left -= int64(n)
			}
			if werr == nil && err == nil && left != 0 {
				werr = ex.rc.Flush()
			}
			if werr != nil {
				return ex.clientWrite()
			}
			ex.clock.touch(n)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && ex.ctx.Err() != nil:
			return ex.why()
		case err != nil:
			return &Error{Reason: ResponseTruncated, Err: err}
		}
	}
}

// clientWrite is the reason for a failed write to the client: its leaving, unless a timeout made it fail.
func (ex *exchange) clientWrite() *Error {
	if ex.ctx.Err() != nil {
		return ex.why()
	}
	return errClientGone
}

// drain reads the rest of a short answer, so that its connection can be used again.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, copyBuffer) }
