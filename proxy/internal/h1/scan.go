package h1

import "bytes"

// HeadEnd looks for the empty line that ends a head at the start of b, and returns where it ends; 0 when it hasn't come
// yet. from is what an earlier call for a shorter b returned as next. Bare is for answers: a line may end without its CR
// (RFC 9112 §2.2 lets a recipient take that).
func HeadEnd(b []byte, from int, bare bool) (end, next int, err error) {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0, from, nil
		}
		empty := i == 0
		if i > 0 && b[from+i-1] == '\r' {
			empty = i == 1
		} else if !bare {
			return 0, from, ErrLineEnd
		}
		from += i + 1
		if empty {
			return from, from, nil
		}
	}
}

// line cuts a line off s, which HeadEnd has found to hold it, and any CR before its LF.
func line(s string) (text, rest string) {
	for i := range len(s) {
		if s[i] != '\n' {
			continue
		}
		if i > 0 && s[i-1] == '\r' {
			return s[:i-1], s[i+1:]
		}
		return s[:i], s[i+1:]
	}
	return s, ""
}

// What bytes may be part of.
const (
	inToken  = 1 << iota // a token (RFC 9110 §5.6.2)
	inValue              // a field's value (RFC 9110 §5.5), its white space too
	inTarget             // a request-target: anything visible, and what isn't ASCII
	inHost               // a host with its port: as net/http takes it
	inLower              // a token without upper-case letters: the name of a field in HTTP/2 (RFC 9113 §8.2)
)

var class = classes()

func classes() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			t[i] = inToken | inHost
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[i] |= inValue
		}
		if c > ' ' && c != 0x7f {
			t[i] |= inTarget
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		t[c] |= inToken
	}
	for _, c := range []byte("!$%&()*+,-.:;='[]_~") {
		t[c] |= inHost
	}
	for i := range t {
		if t[i]&inToken != 0 && (i < 'A' || i > 'Z') {
			t[i] |= inLower
		}
	}
	return t
}

// IsToken reports whether s is a token: a method, or the name of a field.
func IsToken(s string) bool { return s != "" && all(s, inToken) }

// IsLowerToken reports whether s is a token without upper-case letters.
func IsLowerToken(s string) bool { return s != "" && all(s, inLower) }

// IsTarget reports whether s can be a request-target, as far as its bytes go.
func IsTarget(s string) bool { return s != "" && all(s, inTarget) }

// IsValue reports whether s can be the value of a field, as far as its bytes go, be it empty.
func IsValue(s string) bool { return all(s, inValue) }

// IsHost reports whether s can be the value of Host, be it empty.
func IsHost(s string) bool { return all(s, inHost) }

// all reports whether each byte of s is of a class.
func all(s string, of uint8) bool {
	for i := range len(s) {
		if class[s[i]]&of == 0 {
			return false
		}
	}
	return true
}

// trim removes optional white space (RFC 9110 §5.6.3).
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// EqualFold compares names, ASCII only.
func EqualFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}
