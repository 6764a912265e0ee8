package h1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// answers are what the fuzzer starts from.
var answers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.0 404 Not Found\nX: y\n\n",
	"HTTP/1.1 200\r\n\r\nto the end",
	"HTTP/1.1 200 \r\n\r\n",
	"HTTP/1.1 200  \t two\r\n\r\n",
	"HTTP/1.9 999 \xff\r\nX: \xff\tz \r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\nrest",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a\r\nhello\r\n0\r\nX: y\r\nZ: w\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 204 No\r\nA: b\r\nA: c\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\n\nhello",
	"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
}

// answer is one answer as a parser understood it.
type answer struct {
	status          int
	reason          string
	header, trailer http.Header
	body, rest      string
}

// FuzzResponses: an answer that is taken to its end is understood as net/http's client does it, to the last byte of its
// body, and what follows it is the same. The only exception: an answer of HTTP/1.0 in chunks, which RFC 9112 §6.1 has
// read as it says and the connection closed after it (Response.Doubtful); net/http takes its chunks for the content.
func FuzzResponses(f *testing.F) {
	for _, s := range answers {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		u, r, ok := ourAnswer(b, method)
		if !ok {
			return
		}
		if r.Chunked && r.Minor == 0 {
			if !r.Doubtful {
				t.Fatalf("%q: trusted", b)
			}
			return
		}
		v, err := theirAnswer(b, method)
		if err != nil {
			t.Fatalf("%q: ours %+v, net/http: %v", b, u, err)
		}
		if u.status != v.status || u.reason != v.reason || u.body != v.body || u.rest != v.rest {
			t.Fatalf("%q: ours %+v, theirs %+v", b, u, v)
		}
		for _, h := range []http.Header{u.header, v.header} {
			for _, framing := range []string{"Content-Length", "Transfer-Encoding", "Trailer"} {
				delete(h, framing) // a proxy writes them anew, of what the body was
			}
		}
		sameHeader(t, b, u.header, v.header)
		sameHeader(t, b, u.trailer, v.trailer)
	})
}

// ourAnswer reads an answer to a request of method as the engine does (RFC 9112 §6.3); ok when it comes to its end.
func ourAnswer(b []byte, method string) (a answer, r Response, ok bool) {
	end, _, err := HeadEnd(b, 0, true)
	if err != nil || end == 0 || r.Parse(string(b[:end])) != nil {
		return a, r, false
	}
	b = b[end:]
	var body Body
	switch {
	case method == http.MethodHead, r.Status < 200, r.Status == http.StatusNoContent, r.Status == http.StatusNotModified:
		body.Start(0)
	case r.Chunked:
		body.StartChunked(new(Chunks))
	default:
		body.Start(r.Length)
	}
	content := make([]byte, len(b))
	nd, ns, err := body.Decode(content, b)
	if err != nil || !body.Done() && body.left >= 0 || !body.Done() && body.Chunked() {
		return a, r, false
	}
	var trailer Fields
	if body.Trailers(&trailer) != nil {
		return a, r, false
	}
	return answer{r.Status, r.Reason, headerOf(r.Fields), headerOf(trailer), string(content[:nd]), string(b[ns:])}, r, true
}

func theirAnswer(b []byte, method string) (a answer, err error) {
	in := bufio.NewReader(bytes.NewReader(b))
	r, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		return a, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return a, err
	}
	rest, _ := io.ReadAll(in)
	_, reason, _ := bytes.Cut([]byte(r.Status), []byte(" "))
	delete(r.Header, "Host")
	for _, name := range []string{"Host", "Transfer-Encoding"} { // as headerOf
		delete(r.Trailer, name)
	}
	return answer{r.StatusCode, string(reason), r.Header, r.Trailer, string(body), string(rest)}, nil
}
