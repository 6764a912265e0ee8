package proxy

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// fail answers with an error before anything has been written.
func (f *flow) fail(err error) {
	f.result.Reason = ReasonOf(err)
	if f.result.Reason == ClientGone {
		f.result.Status = StatusClientClosedRequest
		f.keep, f.aborted = false, true
		return
	}
	var types []string
	if i := f.head.Fields.Find("Content-Type", 0); i >= 0 {
		types = []string{f.head.Fields[i].Value}
	}
	a := errorAnswer(f.h.cfg.Name, err, isGRPC(types))
	if f.result.Reason == BadRequest {
		f.keep = false // what follows can't be trusted either
	}
	f.own(a)
}

// local gives an answer of the policy's own.
func (f *flow) local(l *Local) {
	if l.Reason == ClientGone {
		f.fail(errClientGone)
		return
	}
	f.result.Reason = l.Reason
	grpc := slices.ContainsFunc(l.Header, func(x [2]string) bool { return x[0] == "Grpc-Status" }) // its end is that of the head
	f.own(errorAnswered{
		status: l.Status, header: l.Header, body: l.Body,
		bodiless: grpc || l.Status == http.StatusNoContent || l.Status == http.StatusNotModified,
	})
}

// own writes an answer of the proxy's own. The clock stops: it takes no time but that of a client which doesn't read, for
// which there is little.
func (f *flow) own(a errorAnswered) {
	f.clock.stop()
	if f.keep && !f.head.Expect {
		f.up.finish(beforeAnswer, ownAnswerRest)
	}
	if !f.up.whole.Load() || f.h.draining.Load() || f.e.closing.Load() {
		f.keep = false
	}
	f.result.Status, f.result.Start = a.status, time.Since(f.req.Arrived)
	buf := f.h.buffer()
	defer f.h.putBuffer(buf)
	b := appendOwn(buf[:0], a)
	b = h1.AppendEnd(f.appendConnection(b))
	if f.head.Method != http.MethodHead && !a.bodiless {
		b = append(b, a.body...)
		f.down += int64(len(a.body))
	}
	_ = f.c.conn.SetWriteDeadline(time.Now().Add(afterAnswer))
	f.writing = true
	if _, err := f.c.conn.Write(b); err != nil {
		f.keep, f.aborted = false, true
	}
	_ = f.c.conn.SetWriteDeadline(time.Time{})
}

// ownAnswerRest is how much of a body may be read before an answer of the proxy's own, to keep the connection.
const ownAnswerRest = 64 << 10

// appendOwn writes the head of an answer of the proxy's own, but for its end.
func appendOwn(b []byte, a errorAnswered) []byte {
	b = h1.AppendStatusLine(b, a.status, http.StatusText(a.status))
	b = h1.AppendEnd(time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat))
	for _, x := range a.header {
		if h1.KindOf(x[0]) != h1.ContentLength {
			b = h1.AppendField(b, x[0], x[1])
		}
	}
	if !a.bodiless {
		b = h1.AppendLength(b, int64(len(a.body)))
	} else if a.status == http.StatusOK {
		b = h1.AppendLength(b, 0)
	}
	return b
}

// refusal is the answer to what is no request.
func (h *Handler) refusal(e *Error) []byte {
	a := errorAnswer(h.cfg.Name, e, false)
	b := h1.AppendEnd(h1.AppendField(appendOwn(nil, a), "Connection", "close"))
	return append(b, strings.TrimSuffix(a.body, "\n")+"\n"...)
}
