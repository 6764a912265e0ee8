package proxy_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// rawApp answers whatever comes on a connection with the same bytes, without allocation.
func rawApp(t testing.TB, answer string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	out := []byte(answer)
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() {
				buf := make([]byte, 4<<10)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
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

// rawClient asks without allocation.
type rawClient struct {
	c        net.Conn
	ask, buf []byte
	end      []byte
}

func newRawClient(t testing.TB, addr, ask, end string) *rawClient {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &rawClient{c, []byte(ask), make([]byte, 4<<10), []byte(end)}
}

func (r *rawClient) do() error {
	if _, err := r.c.Write(r.ask); err != nil {
		return err
	}
	for n := 0; ; {
		m, err := r.c.Read(r.buf[n:])
		if err != nil {
			return err
		}
		if n += m; bytes.HasSuffix(r.buf[:n], r.end) {
			return nil
		}
	}
}

const (
	small  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 20:00:00 GMT\r\nContent-Length: 12\r\n\r\nHello World!"
	askFew = "GET /hello HTTP/1.1\r\nHost: example.com\r\n\r\n"
)

var askMany = "GET /hello?some=query HTTP/1.1\r\nHost: example.com\r\n" + strings.Repeat("X-Some-Header: and what is in it\r\n", 13) + "\r\n"

// lean is a policy that costs nothing.
type lean struct {
	proxy.NopExchange
	upstream proxy.Upstream
}

func (p *lean) Begin(*proxy.Request) proxy.Exchange { return p }
func (p *lean) Next(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
	return proxy.Forward(p.upstream), nil
}

// BenchmarkOverSockets has the engine and the Handler in net/http's server do the same for the same client and app, which
// cost as much as they can't help: see the direct one.
func BenchmarkOverSockets(b *testing.B) {
	app := rawApp(b, small)
	config := proxy.Config{Policy: &lean{upstream: proxy.Upstream{Addr: app}}, Name: "bench", MaxIdleConnsPerHost: 1000}
	for _, s := range []struct {
		name string
		addr func(b *testing.B) string
	}{
		{"Direct", func(*testing.B) string { return app }},
		{"Engine", func(b *testing.B) string { return serveEngine(b, config) }},
		{"Handler", func(b *testing.B) string { return serve(b, config) }},
	} {
		for name, ask := range map[string]string{"few": askFew, "14fields": askMany} {
			b.Run(s.name+"/"+name+"/serial", func(b *testing.B) {
				client := newRawClient(b, s.addr(b), ask, "Hello World!")
				b.ReportAllocs()
				for b.Loop() {
					if err := client.do(); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(s.name+"/"+name+"/parallel64", func(b *testing.B) {
				addr := s.addr(b)
				b.ReportAllocs()
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					client := newRawClient(b, addr, ask, "Hello World!")
					for pb.Next() {
						if err := client.do(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkEngineLarge is a download of 1 MiB, and an upload.
func BenchmarkEngineLarge(b *testing.B) {
	const size = 1 << 20
	app := listenAndServe(b, proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		w.Header()["Content-Length"] = []string{"1048576"}
		_, _ = w.Write(make([]byte, size))
	}), proxy.ServerConfig{}))
	config := proxy.Config{Policy: &lean{upstream: proxy.Upstream{Addr: app}}, Name: "bench"}
	for _, s := range []struct {
		name string
		addr func() string
	}{{"Engine", func() string { return serveEngine(b, config) }}, {"Handler", func() string { return serve(b, config) }}} {
		tr := &http.Transport{DisableCompression: true}
		defer tr.CloseIdleConnections()
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b.Run(s.name+"/"+method, func(b *testing.B) {
				addr := s.addr()
				b.SetBytes(size)
				for b.Loop() {
					var body io.Reader
					if method == http.MethodPost {
						body = bytes.NewReader(make([]byte, size))
					}
					req, _ := http.NewRequest(method, "http://"+addr, body)
					resp, err := tr.RoundTrip(req)
					if err != nil {
						b.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
	}
}
