package activator_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/throttler"
)

// benchFront is an activator that knows a revision with so many pods, which all answer at one address.
func benchFront(b *testing.B, pods, limit int) *front {
	p := newPod(b, "pod", 0, false, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello world\n") })
	f := newFront(b, activator.Config{Registerer: prometheus.NewRegistry(), Reporter: &reports{}})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: limit, Timeouts: timeout(time.Minute)})
	var e activator.Endpoints
	for i := range pods {
		e.Ready = append(e.Ready, activator.Endpoint{ID: fmt.Sprint("pod-", i), Addr: p.addr})
	}
	f.UpdateEndpoints(hello, e)
	f.awaitUsable(b, pods)
	return f
}

// BenchmarkActivator sends small requests over keep-alive connections through the handler and to a pod, all in this
// process: client, activator and pod together.
func BenchmarkActivator(b *testing.B) {
	for _, pods := range []int{1, 1000} {
		for _, limit := range []int{0, 10} {
			b.Run(fmt.Sprintf("pods=%d/limit=%d", pods, limit), func(b *testing.B) {
				f := benchFront(b, pods, limit)
				b.ReportAllocs()
				b.SetParallelism(16)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) { exchange(b, f, pb.Next) })
			})
		}
	}
}

// exchange makes requests on one connection, with little cost of its own.
func exchange(b *testing.B, f *front, next func() bool) {
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	request := []byte("GET / HTTP/1.1\r\nHost: " + helloHost + "\r\n\r\n")
	r := bufio.NewReader(c)
	for next() {
		if _, err := c.Write(request); err != nil {
			b.Error(err)
			return
		}
		for first, blank := true, false; !blank; first = false {
			line, err := r.ReadSlice('\n')
			if err != nil || first && !strings.HasPrefix(string(line), "HTTP/1.1 200") {
				b.Errorf("%q, %v", line, err)
				return
			}
			blank = len(line) <= 2
		}
		if _, err := r.Discard(len("hello world\n")); err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkUpdateEndpoints is what one pod that comes or goes costs among so many others.
func BenchmarkUpdateEndpoints(b *testing.B) {
	for _, c := range []struct{ pods, peers int }{{1, 1}, {100, 1}, {1000, 1}, {10_000, 1}, {1000, 3}, {10_000, 3}} {
		pods := c.pods
		b.Run(fmt.Sprintf("pods=%d/activators=%d", pods, c.peers), func(b *testing.B) {
			peers := []string{"10.1.0.1", "10.1.0.2", "10.1.0.3"}[:c.peers]
			a, err := activator.New(activator.Config{PodIP: peers[0], MeshMode: activator.MeshDisabled}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			a.UpdatePeers(hello, peers)
			a.UpdateRevision(activator.Revision{ID: hello, Limit: 10})
			var e [2]activator.Endpoints
			for i := range pods {
				ep := activator.Endpoint{ID: fmt.Sprint("pod-", i), Addr: fmt.Sprint("10.0.0.1:", i)}
				e[0].Ready = append(e[0].Ready, ep)
				if i > 0 {
					e[1].Ready = append(e[1].Ready, ep)
				}
			}
			i := 0
			for b.Loop() {
				a.UpdateEndpoints(hello, e[i%2])
				i++
			}
		})
	}
}

// BenchmarkForgedAnnouncement is what one costs that names somebody else's address, beside a request for a revision that
// isn't known: client and activator together.
func BenchmarkForgedAnnouncement(b *testing.B) {
	f := newFront(b, activator.Config{Identify: identities})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdatePeers(hello, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"})
	for name, c := range map[string]struct {
		header string
		status int
	}{
		"forged":  {"K-Network-Probe: pod\r\nKnative-Serving-Namespace: default\r\nKnative-Serving-Revision: hello-00001\r\nSluice-Pod-Addr: 10.0.0.9:8012\r\nAuthorization: Bearer x\r\n", 403},
		"unknown": {"Knative-Serving-Namespace: default\r\nKnative-Serving-Revision: other\r\n", 404},
	} {
		b.Run(name, func(b *testing.B) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+c.header+"\r\n"); err != nil {
					b.Fatal(err)
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil || resp.StatusCode != c.status {
					b.Fatal(resp, err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
			}
		})
	}
}

// BenchmarkStart is what ten thousand pods cost that are all there when the activator starts.
func BenchmarkStart(b *testing.B) {
	const pods = 10_000
	for b.Loop() {
		var dials atomic.Int64
		a, err := activator.New(activator.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			return answered(), nil
		}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- a.Run(ctx, nil) }()
		for i := range 10 {
			id := throttler.RevisionID{Namespace: "n", Name: fmt.Sprint(i)}
			var e activator.Endpoints
			for j := range pods / 10 {
				e.Ready = append(e.Ready, activator.Endpoint{ID: fmt.Sprint(j), Addr: "10.0.0.1:80"})
			}
			a.UpdatePeers(id, []string{"10.0.0.1", "10.0.0.2"})
			a.UpdateRevision(activator.Revision{ID: id, Limit: 10})
			a.UpdateEndpoints(id, e)
		}
		await(b, "all to be usable", func() bool {
			n := 0
			for _, s := range a.Snapshot() {
				n += s.Usable
			}
			return n == pods
		})
		cancel()
		<-ran
		_ = a.Close()
	}
}

// answered is a connection to a pod that has passed.
func answered() net.Conn {
	return &cannedConn{Reader: strings.NewReader("HTTP/1.1 200 OK\r\nSluice-Features: no-queue\r\nContent-Length: 5\r\n\r\nqueue")}
}

type cannedConn struct {
	net.Conn
	io.Reader
}

func (c *cannedConn) Read(p []byte) (int, error)    { return c.Reader.Read(p) }
func (c *cannedConn) Write(p []byte) (int, error)   { return len(p), nil }
func (c *cannedConn) Close() error                  { return nil }
func (c *cannedConn) SetDeadline(_ time.Time) error { return nil }
