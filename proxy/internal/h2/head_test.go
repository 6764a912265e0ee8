package h2

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// fieldsOf makes a list of names and values in turn.
func fieldsOf(pairs ...string) (f h1.Fields) {
	for i := 0; i < len(pairs); i += 2 {
		f = append(f, h1.Field{Name: pairs[i], Value: pairs[i+1], Kind: h1.KindOf(pairs[i])})
	}
	return f
}

// plain are the pseudo-header fields of a request, of which those named are replaced; none with the value "-".
func plain(replaced ...string) h1.Fields {
	all := []string{":method", "GET", ":scheme", "http", ":authority", "x:80", ":path", "/a?b"}
	for i := 0; i < len(replaced); i += 2 {
		at := slices.Index(all, replaced[i])
		switch {
		case at < 0:
			all = append(all, replaced[i:i+2]...)
		case replaced[i+1] == "-":
			all = slices.Delete(all, at, at+2)
		default:
			all[at+1] = replaced[i+1]
		}
	}
	return fieldsOf(all...)
}

func TestRequestsThatAreMalformed(t *testing.T) {
	for wrong, all := range map[string][]h1.Fields{
		"missing or malformed :method":       {plain(":method", ""), plain(":method", "-"), plain(":method", "G T"), plain(":method", "GET / HTTP/1.1\r\nX: y\r\n")},
		"missing or unknown :scheme":         {plain(":scheme", ""), plain(":scheme", "-"), plain(":scheme", "ftp"), plain(":scheme", "HTTP")},
		"missing :authority":                 {plain(":authority", ""), plain(":authority", "-")},
		"malformed :authority":               {plain(":authority", "u@x"), plain(":authority", "x/y"), plain(":authority", "x y"), plain(":authority", "x?y"), plain(":authority", "x\r\n")},
		"Host differs from :authority":       {plain("host", "x"), plain("host", ""), plain(":authority", "", "host", "x")},
		"malformed Host":                     {plain(":authority", "-", "host", "u@x")},
		"more than one Host":                 {append(plain("host", "x:80"), fieldsOf("host", "x:80")...)},
		"missing or malformed :path":         {plain(":path", ""), plain(":path", "-"), plain(":path", "a"), plain(":path", "*"), plain(":path", "http://x/"), plain(":path", "/ HTTP/1.1"), plain(":path", "/\t"), plain(":path", "/\x7f"), plain(":path", "/%"), plain(":path", "/%zz?"), plain(":method", "CONNECT", ":path", "", ":protocol", "websocket")},
		"CONNECT with :scheme or :path":      {plain(":method", "CONNECT"), plain(":method", "CONNECT", ":path", "-"), plain(":method", "CONNECT", ":scheme", "-")},
		"unexpected or malformed :protocol":  {plain(":protocol", "websocket"), plain(":method", "CONNECT", ":protocol", ""), plain(":method", "CONNECT", ":protocol", "a b")},
		":status in a request":               {plain(":status", "200")},
		"unknown pseudo-header field":        {plain(":x", "y"), plain(":", "y"), plain(":Path", "y")},
		"pseudo-header field more than once": {append(plain(), fieldsOf(":path", "/")...)},
		"malformed field name":               {append(plain("a", "b"), fieldsOf(":path", "/")...), plain("", "a"), plain("A", "b"), plain("a b", "c"), plain("a:", "b"), plain("a\n", "b"), plain("transfer-encoding ", "chunked"), plain("Transfer-Encoding", "chunked"), plain("ä", "b")},
		"malformed field value":              {plain("a", " b"), plain("a", "b "), plain("a", "\tb"), plain("a", "\t"), plain("a", "b\rc"), plain("a", "b\nc"), plain("a", "b\x00c"), plain("a", "b\x01c"), plain("a", "b\x7fc")},
		"field of a connection":              {plain("connection", "close"), plain("keep-alive", "timeout=5"), plain("proxy-connection", "x"), plain("transfer-encoding", "chunked"), plain("upgrade", "websocket"), plain("te", "gzip"), plain("te", "trailers, gzip"), plain("te", "")},
		"malformed Content-Length":           {plain("content-length", ""), plain("content-length", "+1"), plain("content-length", "-1"), plain("content-length", "1, 1"), plain("content-length", "0x1"), plain("content-length", "18446744073709551620"), append(plain("content-length", "1"), fieldsOf("content-length", "2")...)},
	} {
		for _, f := range all {
			var r Request
			if got := r.read(slices.Clone(f), true); got != wrong {
				t.Errorf("%+v: %q, want %q", f, got, wrong)
			}
		}
	}
	var r Request
	if wrong := r.read(plain(":method", "CONNECT", ":protocol", "websocket"), false); wrong == "" {
		t.Error("extended CONNECT is taken though it isn't allowed")
	}
}

func TestRequestsThatAreInOrder(t *testing.T) {
	for _, x := range []struct {
		in   h1.Fields
		want Request
	}{
		{plain(), Request{"GET", "http", "x:80", "/a?b", "", nil, -1}},
		{plain(":authority", "-", "host", "y"), Request{"GET", "http", "y", "/a?b", "", nil, -1}},
		{plain("host", "X:80"), Request{"GET", "http", "x:80", "/a?b", "", nil, -1}},
		{plain(":method", "OPTIONS", ":path", "*"), Request{"OPTIONS", "http", "x:80", "*", "", nil, -1}},
		{plain(":path", "//a/../b#c?%"), Request{"GET", "http", "x:80", "//a/../b#c?%", "", nil, -1}},
		{plain(":method", "CONNECT", ":path", "-", ":scheme", "-"), Request{"CONNECT", "", "x:80", "", "", nil, -1}},
		{plain(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https"), Request{"CONNECT", "https", "x:80", "/a?b", "websocket", nil, -1}},
		{plain("te", "trailers", "a", "", "b", "\xff c\td"), Request{"GET", "http", "x:80", "/a?b", "", fieldsOf("te", "trailers", "a", "", "b", "\xff c\td"), -1}},
		{append(plain("content-length", "10"), fieldsOf("content-length", "10", "z", "y")...), Request{"GET", "http", "x:80", "/a?b", "", fieldsOf("content-length", "10", "z", "y"), 10}},
		{append(plain("cookie", "a=b", "x", "y"), fieldsOf("cookie", "c=d", "z", "y", "cookie", "e=f")...), Request{"GET", "http", "x:80", "/a?b", "", fieldsOf("cookie", "a=b; c=d; e=f", "x", "y", "z", "y"), -1}},
	} {
		var r Request
		in := slices.Clone(x.in)
		if wrong := r.read(in, true); wrong != "" {
			t.Errorf("%+v: %s", x.in, wrong)
		}
		fields, want := r.Fields, x.want.Fields
		if r.Fields, x.want.Fields = nil, nil; !slices.Equal(fields, want) ||
			r.Method != x.want.Method || r.Scheme != x.want.Scheme || r.Authority != x.want.Authority || r.Path != x.want.Path || r.Protocol != x.want.Protocol || r.Length != x.want.Length {
			t.Errorf("%+v: %+v %+v, want %+v %+v", x.in, r, fields, x.want, want)
		}
	}
}

func TestASecretCookieKeepsTheOthersSecret(t *testing.T) {
	f := fieldsOf("cookie", "a=b", "cookie", "c=d")
	f[1].Sensitive = true
	if got := joinCookies(f); !got.Sensitive || got.Value != "a=b; c=d" {
		t.Errorf("joined to %+v", got)
	}
}

// A header block that needs several frames goes through.
func TestLargeHeads(t *testing.T) {
	for _, size := range []int{16300, 16384, 16385, 32768, 32769, 50000} {
		value := strings.Repeat("v", size)
		var a, b side
		got := ""
		a.init(clientConfig, &calls{trailers: func(_ *Stream, f h1.Fields) { got = f[0].Value }})
		b.init(serverConfig, &calls{request: func(s *Stream, r *Request, _ bool) {
			s.WriteHead(200, r.Fields, false)
			s.WriteTrailers(r.Fields)
		}})
		r := get("/")
		r.Fields = h1.Fields{{Name: "V", Value: value}}
		a.Open(r, true)
		settle(&a, &b)
		if got != value || a.Streams()+b.Streams() != 0 || a.errs != nil || b.errs != nil {
			t.Errorf("%d: came back with %d bytes; %v, %v", size, len(got), a.errs, b.errs)
		}
	}
}
