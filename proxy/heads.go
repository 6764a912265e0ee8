package proxy

import (
	"cmp"
	"net/http"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// The heads that an Engine writes, each made of a head that it has read. Those are bounded in size, and so are these.

// appendRequestHead appends the head that an upstream is sent.
func (f *flow) appendRequestHead(b []byte, upstream *Upstream) []byte {
	b = h1.AppendRequestLine(b, f.head.Method, f.target, 1)
	b = h1.AppendField(b, "Host", cmp.Or(upstream.Host, f.head.Host, upstream.Addr))
	skip := connectionKinds | framingKinds | 1<<h1.Host | 1<<h1.XForwardedFor
	if !f.head.Chunked() {
		skip |= 1 << h1.Trailer
	}
	b = f.head.Fields.AppendTo(b, skip)
	var few [4]string
	if all := (Header{list: &f.head.Fields}).appendForwarded(few[:0], f.c.peer); len(all) > 0 {
		b = h1.AppendList(b, "X-Forwarded-For", all)
	}
	return h1.AppendEnd(f.appendOptions(f.head.AppendFraming(b)))
}

// appendOptions appends the fields of a request that are of its own connection.
func (f *flow) appendOptions(b []byte) []byte {
	if f.te {
		b = h1.AppendField(b, "TE", "trailers")
	}
	if f.req.Upgrade != "" {
		b = h1.AppendField(b, "Upgrade", f.req.Upgrade)
	}
	if options := connectionOptions(f.te, f.req.Upgrade != ""); options != "" {
		b = h1.AppendField(b, "Connection", options)
	}
	return b
}

// appendHandedHead appends the head of a request with which net/http goes on, as the policy has left it.
func (f *flow) appendHandedHead(b []byte) []byte {
	b = h1.AppendRequestLine(b, f.head.Method, f.head.Target, f.head.Minor)
	if f.head.Host != "" || f.head.Minor > 0 {
		b = h1.AppendField(b, "Host", f.head.Host)
	}
	b = f.head.Fields.AppendTo(b, connectionKinds|framingKinds|1<<h1.Host)
	return h1.AppendEnd(f.appendConnection(f.appendOptions(f.head.AppendFraming(b))))
}

// appendAnswerHead appends the head of an upstream's answer for the client, whose body is sent as f.framing says.
func (f *flow) appendAnswerHead(b []byte, r *h1.Response) []byte {
	b = h1.AppendStatusLine(b, r.Status, r.Reason)
	skip := connectionKinds | framingKinds
	if f.framing != framedByChunks {
		skip |= 1 << h1.Trailer
	}
	b = r.Fields.AppendTo(b, skip)
	switch {
	case f.framing == framedByChunks:
		b = h1.AppendChunked(b)
	case r.Length >= 0 && r.Status != http.StatusNoContent:
		b = h1.AppendLength(b, r.Length)
	}
	return h1.AppendEnd(f.appendConnection(b))
}

// appendConnection appends the field that tells the client whether its connection can be used again.
func (f *flow) appendConnection(b []byte) []byte {
	switch {
	case !f.keep:
		return h1.AppendField(b, "Connection", "close")
	case f.head.Minor == 0:
		return h1.AppendField(b, "Connection", "keep-alive")
	}
	return b
}

// appendInformational appends the head of a 1xx, which has no body; with a protocol it is that of a 101.
func appendInformational(b []byte, r *h1.Response, protocol string) []byte {
	b = h1.AppendStatusLine(b, r.Status, r.Reason)
	b = r.Fields.AppendTo(b, framingKinds)
	if protocol != "" {
		b = h1.AppendField(b, "Connection", "Upgrade")
		b = h1.AppendField(b, "Upgrade", protocol)
	}
	return h1.AppendEnd(b)
}

// appendLastChunk appends the end of a body in chunks, with its trailers.
func (h *Handler) appendLastChunk(b []byte, body *h1.Body) []byte {
	var trailers h1.Fields
	_ = body.Trailers(&trailers) // has been checked
	h.private.stripTrailers(Header{list: &trailers})
	return h1.AppendLastChunk(b, trailers)
}
