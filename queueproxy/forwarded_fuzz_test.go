package queueproxy

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// FuzzForwarded: whatever a client sends, what is written parses by the letter of RFC 7239 §4, and says what the
// X-Forwarded fields said and nothing else: no parameter or element of the client's own.
func FuzzForwarded(f *testing.F) {
	for _, s := range [][3]string{
		{"1.2.3.4, ::1", "a.example", "https"},
		{"[2001:db8::1]:80\n10.0.0.1", "a.example:8080", "http"},
		{`1.2.3.4;by="x`, `a;proto=https`, `http, for=9.9.9.9`},
		{`"`, `\`, `;,="`},
		{" ,\t,", "", ""},
		{"", "[::1]:80", ""},
		{`a\"b`, "\xff", "\t"},
		{"_hidden,unknown", " ", "x y"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, nodes, host, proto string) {
		h := http.Header{}
		var want []map[string]string
		for line := range strings.SplitSeq(nodes, "\n") {
			if !fieldValue(line) {
				return
			}
			if line != "" {
				h.Add("X-Forwarded-For", line)
			}
			for node := range strings.SplitSeq(line, ",") {
				if node = strings.Trim(node, " \t"); node != "" {
					want = append(want, map[string]string{"for": bracketed(node)})
				}
			}
		}
		for name, v := range map[string]string{"Host": host, "Proto": proto} {
			if !fieldValue(v) {
				return
			}
			if v == "" {
				continue
			}
			h.Set("X-Forwarded-"+name, v)
			if len(want) == 0 {
				want = append(want, map[string]string{})
			}
			want[0][strings.ToLower(name)] = v
		}
		addForwarded(proxy.NewHeader(h))
		v := h.Get("Forwarded")
		got, err := parseForwarded(v)
		if err != nil {
			t.Fatalf("%q of %q: %v", v, h, err)
		}
		if !slices.EqualFunc(got, want, equalMaps) {
			t.Fatalf("%q of %q says %q, want %q", v, h, got, want)
		}
	})
}

// fieldValue reports whether a parser of fields lets v through (RFC 9110 §5.5).
func fieldValue(v string) bool {
	return strings.Trim(v, " \t") == v && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// bracketed is a node as Forwarded has it: an IPv6 address in brackets (RFC 7239 §6).
func bracketed(node string) string {
	if strings.Contains(node, ":") && node[0] != '[' {
		return "[" + node + "]"
	}
	return node
}

func equalMaps(a, b map[string]string) bool {
	for name, v := range a {
		if b[name] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// parseForwarded reads 1#forwarded-element: pairs of a token and a token or quoted-string, no name twice in an element. One
// thing is taken beyond that: a host may have a colon and brackets without quotes, as Knative writes it.
func parseForwarded(s string) (all []map[string]string, err error) {
	for element := map[string]string{}; s != ""; {
		var name, value string
		name, s = token(s, "")
		if name == "" || s == "" || s[0] != '=' {
			return nil, errors.New("no pair")
		}
		also := ""
		if name == "host" {
			also = ":[]"
		}
		if s = s[1:]; s != "" && s[0] == '"' {
			if value, s, err = quoted(s); err != nil {
				return nil, err
			}
		} else if value, s = token(s, also); value == "" {
			return nil, errors.New("no value of " + name)
		}
		if _, ok := element[name]; ok {
			return nil, errors.New("twice " + name)
		}
		element[name] = value
		switch {
		case s == "":
			return append(all, element), nil
		case s[0] == ';':
			s = s[1:]
		case strings.HasPrefix(s, ", "):
			all, element, s = append(all, element), map[string]string{}, s[2:]
		default:
			return nil, errors.New("no separator before " + s)
		}
		if s == "" {
			return nil, errors.New("nothing after a separator")
		}
	}
	return all, nil
}

// token is the one (RFC 9110 §5.6.2) that s begins with; it may have the bytes of also, too.
func token(s, also string) (tok, rest string) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 && strings.IndexByte(also, c) < 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// quoted is the content of the quoted-string (RFC 9110 §5.6.4) that s begins with.
func quoted(s string) (content, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
				return "", "", errors.New("malformed escape")
			}
			b.WriteByte(s[i])
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", "", errors.New("a control character")
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("an open quote")
}
