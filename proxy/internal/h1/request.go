package h1

import (
	"net/url"
	"strconv"
	"strings"
)

// Request is the head of a request.
type Request struct {
	Method string
	Target string // as received
	Minor  int    // of the version: HTTP/1.Minor, where anything above 1 is 1
	Fields Fields // all of them but Host
	// Host is that of an absolute-form, or else the field.
	Host string
	// Absolute is set for a target in absolute-form (RFC 9112 §3.2.2).
	Absolute bool
	// Length of the body; -1 when it is chunked.
	Length int64
	// HasLength is set when there is a Content-Length.
	HasLength bool
	// Expect is set for `Expect: 100-continue`.
	Expect bool
}

// Chunked reports whether the body is in chunks.
func (r *Request) Chunked() bool { return r.Length < 0 }

// Parse reads a head that HeadEnd has found to be complete, and that has at most fields field lines. It reuses the
// memory of r.Fields. The error is an Error.
func (r *Request) Parse(head string, fields int) error {
	*r = Request{Fields: r.Fields[:0]}
	first, rest := line(head)
	if err := r.requestLine(first); err != nil {
		return err
	}
	if err := r.Fields.parse(rest, fields); err != nil {
		return err
	}
	return r.mean()
}

func (r *Request) requestLine(s string) error {
	i := strings.IndexByte(s, ' ')
	j := strings.LastIndexByte(s, ' ')
	if i <= 0 || j <= i {
		return ErrRequestLine
	}
	r.Method, r.Target = s[:i], s[i+1:j]
	switch version := s[j+1:]; {
	case version == "HTTP/1.1":
		r.Minor = 1
	case version == "HTTP/1.0":
	case !strings.Contains(s, "HTTP") && !strings.Contains(s, "http"):
		return ErrNotHTTP
	case len(version) != 8 || version[:5] != "HTTP/" || !digit(version[5]) || version[6] != '.' || !digit(version[7]):
		return ErrRequestLine
	case version[5] != '1':
		return ErrVersion
	default:
		r.Minor = 1 // a higher minor version is taken for the highest that is known (RFC 9110 §2.5)
	}
	if !all(r.Method, inToken) {
		return ErrMethod
	}
	if r.Target == "" || !all(r.Target, inTarget) {
		return ErrTarget
	}
	return nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// mean takes from the fields what they mean for framing and routing.
func (r *Request) mean() error {
	var hosts, lengths, codings int
	for i := range r.Fields {
		switch f := &r.Fields[i]; f.Kind {
		case Host:
			hosts++
			r.Host = f.Value
		case ContentLength:
			lengths++
			n, ok := ParseLength(f.Value)
			if !ok {
				return ErrLength
			}
			r.Length = n
		case TransferEncoding:
			codings++
			if !EqualFold(f.Value, "chunked") {
				return ErrCoding
			}
		case Expect:
			if !EqualFold(f.Value, "100-continue") {
				return ErrExpect
			}
			r.Expect = r.Minor > 0
		}
	}
	r.HasLength = lengths > 0
	switch {
	case hosts > 1:
		return ErrHosts
	case hosts == 0 && r.Minor > 0:
		return ErrNoHost
	case lengths > 1:
		return ErrLengths
	case codings > 1:
		return ErrCoding
	case codings > 0 && lengths > 0:
		return ErrLengthAndCode
	case codings > 0 && r.Minor == 0:
		return ErrOldCoding
	case !all(r.Host, inHost):
		return ErrHost
	case codings > 0:
		r.Length = -1
		if !r.Fields.trailers() {
			return ErrTrailer
		}
	}
	return r.target()
}

// trailers checks the names that Trailer announces.
func (f Fields) trailers() bool {
	for i := range f {
		if f[i].Kind != Trailer {
			continue
		}
		for name := range strings.SplitSeq(f[i].Value, ",") {
			switch KindOf(trim(name)) {
			case TransferEncoding, ContentLength, Trailer:
				return false
			}
		}
	}
	return true
}

// target checks what is no origin-form, and takes the host from an absolute-form.
func (r *Request) target() error {
	if r.Target[0] == '/' {
		if !escaped(r.Target) {
			return ErrTarget
		}
		return nil
	}
	if r.Target == "*" {
		return nil
	}
	if r.Method == "CONNECT" {
		return nil // the caller's to refuse
	}
	u, err := url.ParseRequestURI(r.Target)
	if err != nil || u.Host == "" || u.User != nil || !all(u.Host, inHost) {
		return ErrTarget
	}
	r.Host, r.Absolute = u.Host, true
	return nil
}

// IsOriginForm reports whether s is a path with a query, or without one, as it may stand in a request line (RFC 9112 §3.2.1).
func IsOriginForm(s string) bool { return IsTarget(s) && s[0] == '/' && escaped(s) }

// escaped reports whether two hexadecimal digits follow each percent sign in the path of a target.
func escaped(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	for {
		i := strings.IndexByte(path, '%')
		if i < 0 {
			return true
		}
		if len(path) < i+3 || !hex(path[i+1]) || !hex(path[i+2]) {
			return false
		}
		path = path[i+3:]
	}
}

func hex(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// ParseLength parses the value of a Content-Length: 1*DIGIT.
func ParseLength(s string) (int64, bool) {
	if s == "" || len(s) > 1000 {
		return 0, false
	}
	for i := range len(s) {
		if !digit(s[i]) {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
