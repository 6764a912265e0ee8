package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// stray is what follows each answer of the corpus: who reads the answer wrongly takes it for the next.
const stray = "HTTP/1.1 200 OK\r\nX-Stray: 1\r\nContent-Length: 5\r\n\r\nstray"

// TestNoAnswerIsTakenForAnother: a client gets one answer that nobody can misread, or 502, or one that is cut off; and the
// next answer is that to its next request, and to the next client's.
func TestNoAnswerIsTakenForAnother(t *testing.T) {
	n := 0
	for _, all := range answers {
		n += len(all)
	}
	if n < 100 {
		t.Errorf("there are %d answers", n)
	}
	for name, s := range map[string]schedule{
		"in one piece":           {},
		"in two":                 {cut: true},
		"and another at once":    {stray: true},
		"and another soon after": {stray: true, apart: true, written: make(chan struct{}, 1)},
		"at once inside TLS":     {stray: true, inside: true, written: make(chan struct{}, 1)},
		"soon after inside TLS":  {stray: true, inside: true, apart: true, written: make(chan struct{}, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, client := startAnswerer(t, s)
			addr := serveEngine(t, proxy.Config{Name: "x", Policy: &lean{upstream: proxy.Upstream{Addr: a, TLS: client}}})
			for about, all := range answers {
				for i, d := range all {
					d.check(t, s, fmt.Sprintf("%s/%d: RFC %s: %q", about, i, d.rfc, d.sent), addr, fmt.Sprintf("/%s/%d", about, i))
				}
			}
		})
	}
}

func (d doubtful) check(t *testing.T, s schedule, what, addr, path string) {
	t.Helper()
	method := "GET"
	if d.method != "" {
		method = d.method
	}
	c, in := dialEngine(t, addr)
	defer c.Close()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, strings.ReplaceAll(path, " ", "%20"))
	status, body, err := 100, "", error(nil)
	var resp *http.Response
	for status < 200 {
		if resp, err = http.ReadResponse(in, &http.Request{Method: method}); err != nil {
			break
		}
		var b []byte
		b, err = io.ReadAll(resp.Body)
		status, body = resp.StatusCode, string(b)
	}
	switch {
	case resp != nil && resp.Header.Get("X-Stray") != "":
		t.Errorf("%s: answered with the stray", what)
	case d.status == http.StatusBadGateway && (err != nil || status == http.StatusBadGateway):
	case err != nil || status != d.status || body != d.body:
		t.Errorf("%s: %d, %q, %v; want %d, %q", what, status, body, err, d.status, d.body)
	}
	if s.written != nil && !d.ends {
		<-s.written
	}
	if err == nil && !resp.Close {
		next(t, what, c, in)
	}
	c, in = dialEngine(t, addr)
	defer c.Close()
	next(t, what, c, in)
}

// next asks for something that is answered as it should be.
func next(t *testing.T, what string, c net.Conn, in *bufio.Reader) {
	t.Helper()
	fmt.Fprintf(c, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Errorf("%s: and then: %v", what, err)
		return
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "next" {
		t.Errorf("%s: and then: %s, %q, %v", what, resp.Status, b, err)
	}
}

// schedule is how an app writes its answers.
type schedule struct {
	cut    bool // in two pieces
	stray  bool // and one more
	inside bool // TLS
	apart  bool // that one when the client has the first, mostly
	// written, if not nil, has one record of TLS for each, and tells that the second is on its way.
	written chan struct{}
}

// startAnswerer runs an app that answers as the corpus says, by path, and stays with it after that, unless the answer ends
// with its connection.
func startAnswerer(t *testing.T, s schedule) (addr string, client *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if s.inside {
		var server *tls.Config
		server, client = certified(t)
		l = tls.NewListener(l, server)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { defer c.Close(); s.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() }) // the connections end with the Engine, before
	return addr, client
}

func (s schedule) serve(c net.Conn) {
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		about, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if about == "next" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
			continue
		}
		var i int
		fmt.Sscan(rest, &i)
		if !s.answer(c, answers[about][i]) {
			return
		}
	}
}

// answer writes one, and reports whether the connection goes on.
func (s schedule) answer(c net.Conn, d doubtful) bool {
	sent := d.sent
	if s.cut {
		io.WriteString(c, sent[:len(sent)/2])
		time.Sleep(time.Millisecond) // mostly enough to be read apart
		sent = sent[len(sent)/2:]
	}
	if d.ends {
		io.WriteString(c, sent)
		return false
	}
	switch {
	case !s.stray:
		io.WriteString(c, sent)
	case s.written == nil:
		io.WriteString(c, sent+stray)
	default:
		io.WriteString(c, sent)
		if s.apart {
			time.Sleep(time.Millisecond)
		}
		io.WriteString(c, stray)
		s.written <- struct{}{}
	}
	return true
}
