package h1

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
)

var silent = log.New(io.Discard, "", 0)

// FuzzRequests: never is a request taken that net/http's server refuses, nor understood differently. There is no
// exception.
func FuzzRequests(f *testing.F) {
	for _, s := range requests {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { sameMessages(t, b) })
}

// FuzzTwoRequests finds differences in framing: a head and a body are put together, and a second request follows.
func FuzzTwoRequests(f *testing.F) {
	f.Add("POST / HTTP/1.1", "Host: x\r\nContent-Length: 4", "body")
	f.Add("POST / HTTP/1.1", "Host: x\r\nTransfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n")
	f.Add("POST / HTTP/1.1", "Host: x\r\nTransfer-Encoding: chunked\r\nTrailer: X", "4;a=b\r\nbody\r\n0\r\nX: y\r\n\r\n")
	f.Add("GET http://a/b HTTP/1.1", "Host: x\r\nContent-Length: 4\r\nContent-Length: 4", "body")
	f.Fuzz(func(t *testing.T, line, fields, body string) {
		sameMessages(t, []byte(line+"\r\n"+fields+"\r\n\r\n"+body+"GET /second HTTP/1.1\r\nHost: y\r\n\r\n"))
	})
}

// FuzzChunks: what is decoded is what net/http decodes, and in whatever pieces it comes; nor is anything taken that
// net/http refuses. Rewound, and with what follows, it is decoded to the same.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n", "1\r\na\r\n2\r\nbc\r\n0\r\nX: y\r\nZ: w\r\n\r\n", "a;x=\"y\"\r\n0123456789\r\n0\r\n\r\nrest",
		"4 ;x\r\nbody\r\n0\r\n\r\n", "4\nbody\n0\n\n", "0004\r\nbody\r\n000\r\n\r\n", "ffffffffffffffff\r\n", "4\r\nbodyx\r\n", "4\r\nbody\r\n0\r\n\r",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		var whole Body
		whole.StartChunked(new(Chunks))
		content := make([]byte, len(b))
		nd, ns, err := whole.Decode(content, b)
		content = content[:nd]

		var parts Body
		parts.StartChunked(new(Chunks))
		var got []byte
		used := 0
		var perr error
		for used < len(b) && perr == nil && !parts.Done() {
			piece := b[used:min(len(b), used+int(cut)%7+1)]
			buf := bytes.Clone(piece)
			var n, m int
			n, m, perr = parts.Decode(buf, buf) // in place
			got, used = append(got, buf[:n]...), used+m
			if perr == nil && !parts.Done() && m != len(piece) {
				t.Fatalf("%q: %d of %d bytes taken", b, m, len(piece))
			}
			if perr == nil && parts.Done() == false {
				rewound(t, b, parts, got, b[used:], content, whole.Done())
			}
		}
		if (perr == nil) != (err == nil) || parts.Done() != whole.Done() || err == nil && (!bytes.Equal(got, content) || used != ns) {
			t.Fatalf("%q: at once %q, %d, %v; in pieces %q, %d, %v", b, content, ns, err, got, used, perr)
		}
		if err != nil || !whole.Done() {
			return
		}
		theirs, terr := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		if terr != nil || !bytes.Equal(theirs, content) {
			t.Fatalf("%q: ours %q, net/http's %q, %v", b, content, theirs, terr)
		}
	})
}

func rewound(t *testing.T, b []byte, at Body, held, rest, content []byte, done bool) {
	t.Helper()
	again := at.AppendRewound(nil, held)
	var body Body
	body.StartChunked(new(Chunks))
	all := append(again, rest...)
	got := make([]byte, len(all))
	n, _, err := body.Decode(got, all)
	if done && (err != nil || !body.Done() || !bytes.Equal(got[:n], content)) {
		t.Fatalf("%q: rewound to %q, %q follows: %q, %v, done %v; want %q", b, again, rest, got[:n], err, body.Done(), content)
	}
}

// FuzzHeaderEdits: Set, Add and Del do what http.Header's do.
func FuzzHeaderEdits(f *testing.F) {
	f.Add("aX-A1,sX-B2,dX-A,aX-A3")
	f.Add("sHost1,aCookie2,aCookie3,sCookie4")
	f.Fuzz(func(t *testing.T, script string) {
		var ours Fields
		theirs := http.Header{}
		for op := range strings.SplitSeq(script, ",") {
			if len(op) < 3 || !all(op, inToken) {
				continue
			}
			name, value := op[1:len(op)-1], op[len(op)-1:]
			switch op[0] {
			case 'a':
				ours.Add(name, value)
				theirs.Add(name, value)
			case 's':
				ours.Set(name, value)
				theirs.Set(name, value)
			case 'd':
				ours.Del(name)
				theirs.Del(name)
			}
		}
		n := 0
		for name, values := range theirs {
			n += len(values)
			i := -1
			for _, v := range values {
				if i = ours.Find(name, i+1); i < 0 || ours[i].Value != v {
					t.Fatalf("%s: %q: ours %+v, theirs %v", script, name, ours, theirs)
				}
			}
		}
		if n != len(ours) {
			t.Fatalf("%s: ours %+v, theirs %v", script, ours, theirs)
		}
	})
}
