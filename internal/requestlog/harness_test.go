package requestlog

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// editor is a policy that changes a header as the real ones do, and gives a configured answer.
type editor struct {
	addr string
	proxy.NopExchange
	err   error
	local *proxy.Local
}

func (p editor) Begin(*proxy.Request) proxy.Exchange { return p }

func (p editor) Next(r *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
	r.Header.Set("User-Agent", "edited")
	r.Header.Del("Referer")
	r.Header.Del("Traceparent")
	return proxy.Decision{Upstream: proxy.Upstream{Addr: p.addr}, Local: p.local}, p.err
}

// lines is an Out that keeps each Write.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) put(line string) { _, _ = l.Write([]byte(line)) }

func (l *lines) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.all...)
}

// await returns the lines as soon as there are n.
func (l *lines) await(t *testing.T, n int) []string {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if all := l.get(); len(all) >= n {
			if len(all) > n {
				t.Fatalf("%d lines, want %d: %q", len(all), n, all)
			}
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("%d lines, want %d", len(l.get()), n)
		}
	}
}

func newLog(t testing.TB, c Config) *Log {
	t.Helper()
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

// serve runs a proxy with l around p and returns its address.
func serve(t testing.TB, l *Log, p proxy.Policy) string {
	t.Helper()
	h, err := proxy.New(proxy.Config{Policy: l.Wrap(p), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := proxy.NewEngine(h, proxy.ServerConfig{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Drain(ctx); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return listener.Addr().String()
}

func app(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// ask writes the bytes of a request and returns the response.
func ask(t testing.TB, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
