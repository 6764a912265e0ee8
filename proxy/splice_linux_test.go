package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// Who doesn't read stops who sends, and takes no memory of ours; when he reads again, everything arrives.
func TestSpliceWaitsForItsReader(t *testing.T) {
	for _, way := range []string{"down", "up", "down a tunnel", "up a tunnel"} {
		t.Run(way, func(t *testing.T) {
			var sent atomic.Int64
			read := make(chan bool)
			r := newSpliceRig(t, proxy.Timeouts{}, func(c *net.TCPConn, in *bufio.Reader, _ *http.Request) {
				switch way {
				case "down a tunnel":
					_, _ = io.WriteString(c, upgradedTo)
				case "down":
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", spliceLarge)
				case "up a tunnel":
					_, _ = io.WriteString(c, upgradedTo)
					fallthrough
				default:
					<-read
					compare(t, in, spliceLarge)
					_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
					return
				}
				_, _ = io.Copy(c, paced{bytesOf(spliceLarge), &sent})
				_ = c.CloseWrite()
			})
			var c *net.TCPConn
			var in *bufio.Reader
			switch {
			case strings.HasSuffix(way, "tunnel"):
				c, in = r.upgraded()
			case way == "down":
				c, in = r.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			default:
				c, in = r.ask(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", spliceLarge))
			}
			var all sync.WaitGroup
			defer all.Wait()
			if strings.HasPrefix(way, "up") {
				all.Go(func() { _, _ = io.Copy(c, paced{bytesOf(spliceLarge), &sent}) })
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			stands(t, &sent, spliceLarge)
			r.inUse(1)
			if runtime.ReadMemStats(&after); after.HeapAlloc > before.HeapAlloc+4<<20 {
				t.Errorf("%d KiB of memory more", (after.HeapAlloc-before.HeapAlloc)>>10)
			}
			close(read)
			if way == "down" {
				if resp, err := http.ReadResponse(in, nil); err != nil || resp.ContentLength != spliceLarge {
					t.Fatalf("%+v, %v", resp, err)
				}
			}
			if strings.HasPrefix(way, "down") {
				compare(t, in, spliceLarge)
			} else if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "204") {
				t.Fatalf("%q, %v", line, err)
			}
			r.inUse(0)
			r.spliced()
			c.Close()
			res := r.ended(proxy.ReasonNone)
			if n := max(res.BytesIn, res.BytesOut); n < spliceLarge || n > spliceLarge+100 {
				t.Errorf("%+v", res)
			}
		})
	}
}

// An upstream that answers in the middle of an upload is heard.
func TestSpliceIsLeftForAnAnswer(t *testing.T) {
	over := make(chan bool)
	r := newSpliceRig(t, proxy.Timeouts{}, func(c *net.TCPConn, in *bufio.Reader, _ *http.Request) {
		compare(t, in, 2<<20)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		<-over
		c.Close()
	})
	c, in := r.ask(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", spliceLarge))
	var all sync.WaitGroup
	all.Go(func() { _, _ = io.Copy(c, bytesOf(spliceLarge)) })
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("%+v, %v", resp, err)
	}
	r.ended(proxy.ReasonNone)
	r.inUse(0)
	close(over)
	c.Close()
	all.Wait()
}

// A tunnel that has had its burst holds no pipe, takes small messages again, and ends by halves.
func TestSpliceInATunnel(t *testing.T) {
	r := newSpliceRig(t, proxy.Timeouts{}, func(c *net.TCPConn, in *bufio.Reader, _ *http.Request) {
		_, _ = io.WriteString(c, upgradedTo)
		_, _ = io.Copy(struct{ io.Writer }{c}, in) // an echo, without pipes of package net's
		_ = c.CloseWrite()
	})
	c, in := r.upgraded()
	total := int64(0)
	for _, n := range []int64{1, 4 << 10, 4<<10 + 1, 5 << 20, 3, 100 << 10, 7, 16 << 10, 16 << 20, 1} {
		sent := make(chan error, 1)
		go func() { _, err := io.Copy(c, bytesOf(n)); sent <- err }()
		compare(t, in, n)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		r.inUse(0)
		total += n
	}
	r.spliced()
	_ = c.CloseWrite()
	if b, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the end: %d, %v", b, err)
	}
	if res := r.ended(proxy.ReasonNone); res.BytesIn != total || res.BytesOut != total {
		t.Errorf("%+v, want %d both ways", res, total)
	}
}

// Without descriptors for pipes everything is copied; with them again it isn't.
func TestSpliceWithoutDescriptors(t *testing.T) {
	const size = 4 << 20
	r := newSpliceRig(t, proxy.Timeouts{}, func(c *net.TCPConn, in *bufio.Reader, req *http.Request) {
		compare(t, in, req.ContentLength)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", req.ContentLength)
		_, _ = io.Copy(c, bytesOf(req.ContentLength))
	})
	c, in := r.ask("")
	echo := func(size int64) {
		t.Helper()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = io.Copy(c, bytesOf(size))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, resp.Body, size)
		r.ended(proxy.ReasonNone)
	}
	echo(10) // there is a connection to the upstream now
	restore := noDescriptors(t)
	echo(size)
	if used, unused := r.h.Pipes(); used+unused > 0 {
		t.Errorf("there are pipes nevertheless: %d, %d", used, unused)
	}
	restore()
	echo(size)
	r.spliced()
	c.Close()
}

// More transfers at once than pipes are kept, of all sizes, both ways.
func TestSpliceManyAtOnce(t *testing.T) {
	r := newSpliceRig(t, proxy.Timeouts{}, func(c *net.TCPConn, in *bufio.Reader, req *http.Request) {
		compare(t, in, req.ContentLength)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", req.ContentLength)
		_, _ = io.Copy(c, bytesOf(req.ContentLength))
	})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			c, in := r.ask("")
			defer c.Close()
			for k := range 3 {
				size := int64(200<<10 + i*7<<10 + k*(3<<18) + i)
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
				_, _ = io.Copy(c, bytesOf(size))
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Error(err)
					return
				}
				compare(t, resp.Body, size)
			}
		})
	}
	all.Wait()
	for range 150 {
		r.ended(proxy.ReasonNone)
	}
	r.inUse(0)
	r.spliced()
}

// Sockets of the Unix domain can be spliced too.
func TestSpliceBetweenUnixSockets(t *testing.T) {
	front, back := t.TempDir()+"/front", t.TempDir()+"/back"
	app, err := net.Listen("unix", back)
	if err != nil {
		t.Fatal(err)
	}
	s := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		compare(t, req.Body, req.ContentLength)
		w.Header().Set("Content-Length", fmt.Sprint(req.ContentLength))
		_, _ = io.Copy(w, bytesOf(req.ContentLength))
	}), proxy.ServerConfig{})
	h, err := proxy.New(proxy.Config{Name: "x", Policy: &lean{upstream: proxy.Upstream{Addr: "app"}}, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", back)
	}})
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, h)
	l, err := net.Listen("unix", front)
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.NewEngine(h, proxy.ServerConfig{})
	var all sync.WaitGroup
	all.Go(func() { _ = s.Serve(app) })
	all.Go(func() { _ = e.Serve(l) })
	t.Cleanup(func() { e.Close(); s.Close(); all.Wait() })
	c, err := net.Dial("unix", front)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, size := range []int64{10, 3 << 20, 300 << 10, 8 << 20} {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
		_, _ = io.Copy(c, bytesOf(size))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, resp.Body, size)
	}
	r := &spliceRig{T: t, h: h}
	r.inUse(0)
	r.spliced()
}
