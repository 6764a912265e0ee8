package proxy

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// Kinds of fields that a head on its way onward doesn't take from the other side.
const (
	connectionKinds = 1<<h1.Connection | 1<<h1.KeepAlive | 1<<h1.ProxyConnection | 1<<h1.TE | 1<<h1.Upgrade | 1<<h1.HTTP2Settings
	framingKinds    = 1<<h1.ContentLength | 1<<h1.TransferEncoding
)

// options are what fields of the connection say.
type options struct {
	stripped
	close, keepAlive bool
}

// maxOptions bounds the options of Connection, each of which is looked for among the fields.
const maxOptions = 100

// stripFields is removeHopByHop for an Engine: Transfer-Encoding and Trailer stay, since framing is written anew anyway.
// It fails on more options than anybody needs.
func stripFields(f *h1.Fields, keep []string) (o options, ok bool) {
	found := false
	var lines []string
	for i := range *f {
		switch x := &(*f)[i]; x.Kind {
		case h1.Connection:
			found = true
			switch {
			case h1.EqualFold(x.Value, "close"):
				o.close = true
			case h1.EqualFold(x.Value, "keep-alive"):
				o.keepAlive = true
			default:
				lines = append(lines, x.Value)
			}
		case h1.TE:
			found = true
			o.trailers = o.trailers || hasToken(x.Value, "trailers")
		case h1.KeepAlive, h1.ProxyConnection, h1.Upgrade, h1.HTTP2Settings:
			found = true
		}
	}
	if !found {
		return o, true
	}
	n, upgrading := 0, false
	for _, l := range lines {
		if n += 1 + strings.Count(l, ","); n > maxOptions {
			return o, false
		}
		upgrading = connectionOptions(f, l, keep, &o) || upgrading
	}
	if upgrading {
		lines = lines[:0]
		for i := range *f {
			if (*f)[i].Kind == h1.Upgrade {
				lines = append(lines, (*f)[i].Value)
			}
		}
		if len(lines) > 0 {
			o.upgrade = upgradeTo(lines)
		}
	}
	f.DelKind(connectionKinds)
	return o, true
}

// connectionOptions heeds one Connection field.
func connectionOptions(f *h1.Fields, value string, keep []string, o *options) (upgrading bool) {
	for option := range strings.SplitSeq(value, ",") {
		option = strings.Trim(option, " \t")
		switch kind := h1.KindOf(option); {
		case option == "":
		case kind == h1.Upgrade:
			upgrading = true
		case h1.EqualFold(option, "close"):
			o.close = true
		case kind == h1.KeepAlive:
			o.keepAlive = true
		case kind != h1.Plain && kind != h1.XForwardedFor:
			// Removed anyway, or written anew; Host and Expect are no business of Connection's.
		case !slices.Contains(keep, http.CanonicalHeaderKey(option)):
			f.Del(option)
		}
	}
	return upgrading
}

// appendRequestHead writes the head that an upstream is sent.
func (f *flow) appendRequestHead(b []byte, upstream *Upstream) []byte {
	b = append(b, f.head.Method...)
	b = append(b, ' ')
	b = append(b, f.target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, cmp.Or(upstream.Host, f.head.Host, upstream.Addr)...)
	b = append(b, "\r\n"...)
	skip := uint(connectionKinds | framingKinds | 1<<h1.Host | 1<<h1.XForwardedFor)
	if !f.up.body.Chunked() {
		skip |= 1 << h1.Trailer
	}
	forwarded := false
	for i := range f.head.Fields {
		x := &f.head.Fields[i]
		if skip&(1<<x.Kind) == 0 {
			b = x.AppendTo(b)
		}
		forwarded = forwarded || x.Kind == h1.XForwardedFor
	}
	if forwarded || f.c.peer != "" {
		b = f.appendForwarded(b)
	}
	switch {
	case f.up.body.Chunked():
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case f.head.HasLength:
		b = appendLength(b, f.head.Length)
	}
	switch {
	case f.te && f.req.Upgrade != "":
		b = append(b, "TE: trailers\r\nConnection: TE, Upgrade\r\n"...)
	case f.te:
		b = append(b, "TE: trailers\r\nConnection: TE\r\n"...)
	case f.req.Upgrade != "":
		b = append(b, "Connection: Upgrade\r\n"...)
	}
	if f.req.Upgrade != "" {
		b = append(append(append(b, "Upgrade: "...), f.req.Upgrade...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendForwarded makes one line of what X-Forwarded-For says, and the peer.
func (f *flow) appendForwarded(b []byte) []byte {
	b = append(b, "X-Forwarded-For: "...)
	from := len(b)
	for i := range f.head.Fields {
		if x := &f.head.Fields[i]; x.Kind == h1.XForwardedFor {
			b = append(append(b, x.Value...), ", "...)
		}
	}
	if f.c.peer != "" {
		b = append(b, f.c.peer...)
	} else if len(b) > from {
		b = b[:len(b)-2]
	}
	return append(b, "\r\n"...)
}

// appendAnswerHead writes the head of an answer of an upstream's, as framing says.
func (f *flow) appendAnswerHead(b []byte, r *h1.Response) []byte {
	b = appendStatusLine(b, r.Status, r.Reason)
	skip := uint(connectionKinds | framingKinds)
	if f.framing != framedByChunks {
		skip |= 1 << h1.Trailer
	}
	for i := range r.Fields {
		if x := &r.Fields[i]; skip&(1<<x.Kind) == 0 {
			b = x.AppendTo(b)
		}
	}
	switch {
	case f.framing == framedByChunks:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.Length >= 0 && r.Status != http.StatusNoContent && r.Status >= 200:
		b = appendLength(b, r.Length)
	}
	return append(f.appendConnection(b), "\r\n"...)
}

// appendConnection tells the client whether its connection can be used again.
func (f *flow) appendConnection(b []byte) []byte {
	switch {
	case !f.keep:
		return append(b, "Connection: close\r\n"...)
	case f.head.Minor == 0:
		return append(b, "Connection: keep-alive\r\n"...)
	}
	return b
}

func appendStatusLine(b []byte, status int, reason string) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, reason...)
	return append(b, "\r\n"...)
}

func appendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, "\r\n"...)
}
