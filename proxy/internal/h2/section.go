package h2

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// section is what a block has behind its pseudo-header fields, or a trailer section.
type section struct {
	fields    h1.Fields
	length    int64 // of Content-Length; -1 without
	host      bool
	hostValue string
}

// connectionKinds may be in no message of HTTP/2 (RFC 9113 §8.2.2). TE may, of trailers.
const connectionKinds h1.Kinds = 1<<h1.Connection | 1<<h1.KeepAlive | 1<<h1.ProxyConnection | 1<<h1.TransferEncoding | 1<<h1.Upgrade

// read checks fields as strictly as those of HTTP/1.1 are, since they may become such, and keeps them in their memory: of several
// Content-Length one, of a request's cookies one (RFC 9113 §8.2.3), and of Host what it said. It returns what is wrong, or "".
func (s *section) read(f h1.Fields, request bool) (wrong string) {
	s.length = -1
	kept, cookie := f[:0], false
	for i := range f {
		x := f[i]
		switch {
		case !h1.IsLowerToken(x.Name): // §8.2.1; pseudo-header fields behind others too
			return "malformed field name"
		case !isValue(x.Value):
			return "malformed field value"
		case connectionKinds.Has(x.Kind), x.Kind == h1.TE && !h1.EqualFold(x.Value, "trailers"):
			return "field of a connection"
		case x.Kind == h1.ContentLength:
			n, ok := h1.ParseLength(x.Value)
			if !ok || s.length >= 0 && n != s.length {
				return "malformed Content-Length"
			}
			if s.length >= 0 {
				continue
			}
			s.length = n
		case request && x.Kind == h1.Host:
			if s.host {
				return "more than one Host"
			}
			s.host, s.hostValue = true, x.Value
			continue
		case request && x.Name == "cookie":
			if cookie {
				continue // joined to the first
			}
			cookie = true
			x = joinCookies(f[i:])
		}
		kept = append(kept, x)
	}
	s.fields = kept
	return ""
}

// joinCookies is the first of f with what the cookies behind it say.
func joinCookies(f h1.Fields) h1.Field {
	all, n := f[0], 1
	size := len(all.Value)
	for _, x := range f[1:] {
		if x.Name == "cookie" {
			n++
			size += len("; ") + len(x.Value)
		}
	}
	if n == 1 {
		return all
	}
	b := make([]byte, 0, size)
	b = append(b, all.Value...)
	for _, x := range f[1:] {
		if x.Name == "cookie" {
			b = append(append(b, "; "...), x.Value...)
			all.Sensitive = all.Sensitive || x.Sensitive
		}
	}
	all.Value = string(b)
	return all
}

// isValue reports whether s may be the value of a field: without white space around it.
func isValue(s string) bool {
	return s == "" || !isSpace(s[0]) && !isSpace(s[len(s)-1]) && h1.IsValue(s)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }
