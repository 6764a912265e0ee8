package queueproxy

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-proxy/sluice/internal/profiling"
)

// pod is a queue-proxy that runs on real sockets in front of an app.
type pod struct {
	*Proxy
	t      testing.TB
	url    string
	client *http.Client // HTTP/1.1, keep-alive
	// leaver is another, for requests that may end before they are answered, beside others. net/http's client gives a
	// connection back as soon as it has read an answer without a body, and a context that ends just then still cuts it: the
	// next request fails, by the deadline of that one (transport.go, readLoop and roundTrip).
	leaver *http.Client
	h2c    *http.Client // HTTP/2 with prior knowledge
	stop   context.CancelFunc
	ended  chan error
}

// startApp serves h on the loopback as an app does, in both protocols, and returns its address.
func startApp(t testing.TB, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveApp(t, ln, h)
	return ln.Addr().String()
}

func serveApp(t testing.TB, ln net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
}

// freeAddr returns an address on which nothing listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// deadAddr returns an address on which nothing can listen until the test ends: it is bound. One that is only free may be
// taken by other programs of a busy machine.
func deadAddr(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(addr.(*syscall.SockaddrInet4).Port))
}

// listenAgain opens an address that was free a moment ago.
func listenAgain(t testing.TB, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// startPod runs a queue-proxy for the app at addr. It drains as soon as nothing is in flight, unless edit says else.
func startPod(t testing.TB, addr string, edit func(*Config)) *pod {
	t.Helper()
	anyPort := "127.0.0.1:0"
	c := Config{
		Identity:   Identity{Namespace: "default", Service: "hello", Configuration: "hello", Revision: "hello-00001", Pod: "hello-00001-abc", PodIP: "127.0.0.1"},
		Addrs:      Addrs{Serve: anyPort, Admin: anyPort, Stats: anyPort, Metrics: anyPort, Profiling: anyPort},
		UserAddr:   addr,
		DrainQuiet: time.Millisecond,
	}
	c.Timeouts.Total = 30 * time.Second
	if edit != nil {
		edit(&c)
	}
	c.Registry = cmp.Or(c.Registry, prometheus.NewRegistry())
	c.Pages = pages(c.Registry)
	p, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	return runPod(t, p)
}

// pages are those of the sidecar.
func pages(r *prometheus.Registry) Pages {
	return Pages{Metrics: promhttp.HandlerFor(r, promhttp.HandlerOpts{}), Profiles: profiling.Handler()}
}

// runPod runs a queue-proxy that listens, until the test ends.
func runPod(t testing.TB, p *Proxy) *pod {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	pod := &pod{Proxy: p, t: t, url: "http://" + p.Addrs().Serve, stop: stop, ended: make(chan error, 1)}
	go func() { pod.ended <- p.Run(ctx); close(pod.ended) }()
	t1 := &http.Transport{MaxIdleConnsPerHost: 64}
	t2 := &http.Transport{Protocols: new(http.Protocols)}
	t2.Protocols.SetUnencryptedHTTP2(true)
	t3 := t1.Clone()
	pod.client, pod.h2c, pod.leaver = &http.Client{Transport: t1}, &http.Client{Transport: t2}, &http.Client{Transport: t3}
	t.Cleanup(func() {
		t3.CloseIdleConnections()
		t1.CloseIdleConnections()
		t2.CloseIdleConnections()
		stop()
		<-pod.ended
	})
	return pod
}

// request makes a GET with fields given as name, value, name, value.
func (p *pod) request(path string, fields ...string) *http.Request {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
		req.Header.Set(fields[i], fields[i+1])
	}
	return req
}

type answer struct {
	status int
	body   string
	header http.Header
}

func (p *pod) do(c *http.Client, req *http.Request) answer {
	p.t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		p.t.Errorf("%s %s: %v", req.Method, req.URL, err)
		return answer{}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Errorf("%s %s: %v", req.Method, req.URL, err)
	}
	return answer{resp.StatusCode, string(body), resp.Header}
}

func (p *pod) get(path string, fields ...string) answer {
	p.t.Helper()
	return p.do(p.client, p.request(path, fields...))
}

// eventually polls a condition that another goroutine brings about.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// gate is an app whose requests stay until they are let go.
type gate struct {
	arrived chan *http.Request
	leave   chan struct{}
}

func newGate() *gate { return &gate{make(chan *http.Request, 1000), make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.arrived <- r
	select {
	case <-g.leave:
		_, _ = io.WriteString(w, "ok")
	case <-r.Context().Done():
	}
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// begins says that body is what the contract says, with a sentence below it that says why.
func begins(body, contract string) bool { return strings.HasPrefix(body, contract) }

func contains(t testing.TB, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%q is not in %q", part, text)
	}
}
