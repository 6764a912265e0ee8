package h2

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// Request is the head of a request.
type Request struct {
	Method, Scheme, Authority, Path string
	Protocol                        string // of an extended CONNECT (RFC 8441)
	// Fields are all others, Content-Length among them. Host isn't: a Host that isn't Authority has no place in HTTP/2.
	Fields h1.Fields
	// Length is that of Content-Length; -1 when there is none. Open doesn't write it: Fields are written as they are.
	Length int64
}

// read takes a request from the fields of a header block, whose memory it uses; connect allows extended CONNECT. It returns what
// makes the request malformed (RFC 9113 §8.1.1), "" if nothing does.
func (r *Request) read(f h1.Fields, connect bool) (wrong string) {
	p, f, wrong := readPseudo(f)
	if wrong != "" {
		return wrong
	}
	var s section
	if wrong = s.read(f, true); wrong != "" {
		return wrong
	}
	*r = Request{p.method, p.scheme, p.authority, p.path, p.protocol, s.fields, s.length}
	switch {
	case p.has(pseudoStatus):
		return ":status in a request"
	case !h1.IsToken(r.Method):
		return "missing or malformed :method"
	case p.has(pseudoProtocol) && !(connect && r.Method == "CONNECT" && h1.IsToken(r.Protocol)):
		return "unexpected or malformed :protocol"
	case !h1.IsHost(r.Authority):
		return "malformed :authority"
	case s.host && p.has(pseudoAuthority) && !h1.EqualFold(s.hostValue, r.Authority):
		return "Host differs from :authority" // RFC 9113 §8.3.1
	case !h1.IsHost(s.hostValue):
		return "malformed Host"
	}
	if r.Authority == "" {
		r.Authority = s.hostValue
	}
	if r.Authority == "" {
		return "missing :authority"
	}
	if r.Method == "CONNECT" && !p.has(pseudoProtocol) { // RFC 9113 §8.5
		if p.has(pseudoScheme) || p.has(pseudoPath) {
			return "CONNECT with :scheme or :path"
		}
		return ""
	}
	switch {
	case r.Scheme != "http" && r.Scheme != "https":
		return "missing or unknown :scheme"
	case r.Path == "*" && r.Method == "OPTIONS":
	case !h1.IsOriginForm(r.Path):
		return "missing or malformed :path"
	}
	return ""
}
