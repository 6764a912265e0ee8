package proxy_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// marker follows each message of the corpus: who reads the message wrongly doesn't see it as what it is.
const marker = "GET /marker HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"

// TestNothingIsSmuggled sends each message of the corpus, in one piece and in two: it is refused, and nothing that comes
// after it is looked at, or what reaches the app is one message and the marker, byte for byte what nobody can misread.
func TestNothingIsSmuggled(t *testing.T) {
	n := 0
	for _, messages := range corpus {
		n += len(messages)
	}
	if n < 150 {
		t.Errorf("the corpus has %d messages", n)
	}
	var app atomic.Pointer[recorder]
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{next: func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		return proxy.Forward(proxy.Upstream{Addr: app.Load().addr}), a.Cause
	}}})
	if err != nil {
		t.Fatal(err)
	}
	addr := startEngine(t, h, proxy.ServerConfig{})
	for about, messages := range corpus {
		for i, m := range messages {
			name := fmt.Sprintf("%s/%d", about, i)
			for _, cut := range []int{0, len(m.sent) / 2, len(m.sent) - 1} {
				// One for each, since what was refused in the middle of its body may still be on its way there.
				r, end := newRecorder(t)
				app.Store(r)
				m.check(t, name, addr, r, cut)
				end()
			}
		}
	}
}

// RFC 9112 §2.2: one empty line before a request is ignored, here when it isn't the first of its connection; no more, and
// nothing that merely resembles one.
func TestOneEmptyLineBetweenRequests(t *testing.T) {
	r, end := newRecorder(t)
	addr := serveEngine(t, proxy.Config{Name: "x", Policy: toApp{addr: r.addr}})
	for between, want := range map[string]string{
		"": "200 200", "\r\n": "200 200", "\r\n\r\n": "200 400", "\n": "200 400", "\r": "200 400", "\n\r\n": "200 400", " \r\n": "200 400",
	} {
		c, in := dialEngine(t, addr)
		io.WriteString(c, "GET /first HTTP/1.1\r\nHost: f\r\n\r\n"+between+marker)
		var got []string
		for {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				break
			}
			io.Copy(io.Discard, resp.Body)
			got = append(got, fmt.Sprint(resp.StatusCode))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q in between: %s, want %s", between, s, want)
		}
	}
	end()
}

func (m ambiguous) check(t *testing.T, name, addr string, r *recorder, cut int) {
	t.Helper()
	c, in := dialEngine(t, addr)
	defer c.Close()
	io.WriteString(c, m.sent[:cut])
	if cut > 0 {
		time.Sleep(100 * time.Microsecond) // mostly enough to be read apart
	}
	io.WriteString(c, m.sent[cut:]+marker)
	all, _ := io.ReadAll(in)
	got := r.taken()
	method, _, _ := strings.Cut(m.sent, " ")
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(all)), &http.Request{Method: method})
	if err != nil {
		t.Errorf("%s: RFC %s: %q: no answer: %v", name, m.rfc, m.sent, err)
		return
	}
	if m.status > 0 {
		if resp.StatusCode != m.status || !resp.Close || bytes.Count(all, []byte("HTTP/1.1 ")) != 1 {
			t.Errorf("%s: RFC %s: %q: answered %q, want %d and the end", name, m.rfc, m.sent, all, m.status)
		}
		for _, raw := range got {
			if strings.Contains(raw, "marker") || strings.Contains(raw, "smuggled") || !strings.Contains(m.sent, "chunked") {
				t.Errorf("%s: RFC %s: %q: %q reached the app", name, m.rfc, m.sent, raw)
			}
		}
		return
	}
	if resp.StatusCode != 200 {
		t.Errorf("%s: RFC %s: %q: %s", name, m.rfc, m.sent, resp.Status)
		return
	}
	if len(got) != 2 || !strings.HasPrefix(got[1], "GET /marker HTTP/1.1\r\n") {
		t.Errorf("%s: RFC %s: %q: the app got %q", name, m.rfc, m.sent, got)
		return
	}
	if err := plain(got[0]); err != nil {
		t.Errorf("%s: RFC %s: %q became %q: %v", name, m.rfc, m.sent, got[0], err)
	}
}

// plain checks that a message leaves nothing to interpretation.
func plain(raw string) error {
	head, body, ok := strings.Cut(raw, "\r\n\r\n")
	if !ok {
		return fmt.Errorf("no end of its head")
	}
	var hosts, lengths, codings int
	lines := strings.Split(head, "\r\n")
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n\x00") {
			return fmt.Errorf("line %q", l)
		}
	}
	if len(strings.Split(lines[0], " ")) != 3 || !strings.HasSuffix(lines[0], " HTTP/1.1") {
		return fmt.Errorf("request line %q", lines[0])
	}
	for _, l := range lines[1:] {
		name, value, ok := strings.Cut(l, ": ")
		if !ok || strings.TrimSpace(value) != value || strings.ContainsAny(name, " \t") {
			return fmt.Errorf("field %q", l)
		}
		switch strings.ToLower(name) {
		case "host":
			hosts++
		case "content-length":
			lengths++
			if value != fmt.Sprint(len(body)) {
				return fmt.Errorf("Content-Length %s of %d bytes", value, len(body))
			}
		case "transfer-encoding":
			codings++
			if value != "chunked" {
				return fmt.Errorf("Transfer-Encoding: %s", value)
			}
		case "upgrade":
			return fmt.Errorf("an upgrade")
		}
	}
	if hosts != 1 || lengths > 1 || codings > 1 || lengths+codings > 1 || lengths+codings == 0 && body != "" {
		return fmt.Errorf("%d Hosts, %d lengths, %d codings", hosts, lengths, codings)
	}
	return nil
}

// recorder is an app that keeps the bytes of each request, as net/http reads them.
type recorder struct {
	addr string
	mu   sync.Mutex
	all  []string
}

func newRecorder(t *testing.T) (r *recorder, end func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r = &recorder{addr: l.Addr().String()}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() { defer c.Close(); r.serve(c) })
		}
	})
	return r, func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	}
}

func (r *recorder) serve(c net.Conn) {
	for {
		var raw bytes.Buffer
		// One byte at a time, so that what is kept ends where the message does.
		in := bufio.NewReaderSize(oneByte{io.TeeReader(c, &raw)}, 16)
		req, err := http.ReadRequest(in)
		if err != nil {
			if raw.Len() > 0 {
				r.add(raw.String())
			}
			return
		}
		_, err = io.Copy(io.Discard, req.Body)
		r.add(raw.String())
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

func (r *recorder) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, s)
}

func (r *recorder) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}
