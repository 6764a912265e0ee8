package proxytest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// patience is how long something that must happen is waited for.
const patience = 20 * time.Second

// rig is what a case has to build with.
type rig struct {
	*testing.T
	serve Serve
}

// proxy serves p, with c as the rest of the configuration.
func (r *rig) proxy(p *script, c proxy.Config) (addr string) {
	c.Policy, c.Name = p, "test-proxy"
	p.t = r.T
	if c.NotProcessed == "" {
		c.NotProcessed = "Not-Processed"
	}
	return r.serve(r.T, c)
}

// app serves h on a port of its own, HTTP/1.1 and HTTP/2.
func (r *rig) app(h http.HandlerFunc) (addr string) {
	var running sync.WaitGroup
	s := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		running.Add(1) // not after the wait: the server's connections have ended by then
		defer running.Done()
		h(w, req)
	}), proxy.ServerConfig{})
	l := r.listen()
	running.Go(func() { _ = s.Serve(l) })
	r.Cleanup(func() { s.Close(); running.Wait() })
	return l.Addr().String()
}

// rawApp gives each connection to f, which ends with it.
func (r *rig) rawApp(f func(c net.Conn, in *bufio.Reader)) (addr string) {
	l := r.listen()
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { defer c.Close(); f(c, bufio.NewReader(c)) })
		}
	})
	r.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

func (r *rig) listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	return l
}

// deadAddr is an address where nobody listens: port 1 is privileged, and tcpmux has died out. A port that was free a
// moment ago may be given to the proxy itself.
const deadAddr = "127.0.0.1:1"

// client is one of net/http's that speaks proto only.
func (r *rig) client(proto proxy.Proto) *http.Client {
	var p http.Protocols
	p.SetHTTP1(proto == proxy.HTTP1)
	p.SetUnencryptedHTTP2(proto == proxy.HTTP2)
	t := &http.Transport{Protocols: &p, DisableCompression: true, ExpectContinueTimeout: patience}
	r.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks for a URL and returns the answer with its body.
func (r *rig) do(c *http.Client, req *http.Request) (*http.Response, string) {
	r.Helper()
	resp, err := c.Do(req)
	if err != nil {
		r.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatalf("%s %s: body: %v", req.Method, req.URL, err)
	}
	return resp, string(body)
}

func (r *rig) request(method, url string, body io.Reader) *http.Request {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		r.Fatal(err)
	}
	return req
}

// wire is a client's connection whose bytes are written and read by hand.
type wire struct {
	*net.TCPConn
	r  *rig
	in *bufio.Reader
}

func (r *rig) dial(addr string) *wire {
	r.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.Fatal(err)
	}
	return &wire{TCPConn: c.(*net.TCPConn), r: r, in: bufio.NewReader(c)}
}

func (w *wire) send(s string) *wire {
	w.r.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		w.r.Fatalf("write: %v", err)
	}
	return w
}

// answer reads the head of an answer, which its body follows.
func (w *wire) answer(method string) *http.Response {
	w.r.Helper()
	resp, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.r.Fatalf("answer: %v", err)
	}
	return resp
}

// expect reads exactly s.
func (w *wire) expect(s string) {
	w.r.Helper()
	got := make([]byte, len(s))
	if n, err := io.ReadFull(w.in, got); err != nil || string(got) != s {
		w.r.Fatalf("read %q, %v; want %q", got[:n], err, s)
	}
}

// head reads a head as it is, up to the empty line.
func head(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// take receives, or fails the case.
func take[T any](r *rig, what string, c <-chan T) T {
	r.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		r.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}

// cut fails the case unless err says that a body came to no proper end.
func (r *rig) cut(err error) {
	r.Helper()
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("the body ended with %v, want a cut", err)
	}
}
