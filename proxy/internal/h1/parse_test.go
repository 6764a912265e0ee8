package h1

import (
	"strings"
	"testing"
)

// requests are what the fuzzer starts from.
var requests = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: y\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	"GET http://a.example/b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://[::1%25en0]:80/b HTTP/1.1\r\nHost: x\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET //a|b/%2f?%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
	"GET / HTTP/1.1\r\nHost: x\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX:\ta\tb \r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0004\r\n\r\nbody",
}

func TestRequestsAreUnderstoodAsNetHTTPDoes(t *testing.T) {
	for _, s := range requests {
		sameMessages(t, []byte(s))
	}
}

// What net/http's client refuses, and was taken once.
func TestAnswersOfTwoMindsAreRefused(t *testing.T) {
	for s, want := range map[string]error{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\n":               ErrLengths,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n": ErrTrailer,
	} {
		var r Response
		if err := r.Parse(s); err != want {
			t.Errorf("%q: %v, want %v", s, err, want)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	head := "GET /hello?x=y HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nConnection: keep-alive\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
	var r Request
	if err := r.Parse(head, 100); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = r.Parse(head, 100) }); n > 0 {
		t.Errorf("%v allocations for a request", n)
	}
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Type: text/plain\r\nDate: now\r\n\r\n"
	var a Response
	_ = a.Parse(answer)
	if n := testing.AllocsPerRun(100, func() { _ = a.Parse(answer) }); n > 0 {
		t.Errorf("%v allocations for an answer", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	for name, head := range map[string]string{
		"minimal":  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"14fields": "GET /path/to/something?query=1 HTTP/1.1\r\nHost: example.com\r\n" + strings.Repeat("X-Some-Header: with some value of it\r\n", 13) + "\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			var r Request
			raw := []byte(head)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := HeadEnd(raw, 0, false); err != nil {
					b.Fatal(err)
				}
				if err := r.Parse(head, 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
