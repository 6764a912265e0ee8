package proxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/proxy"
)

// flatMemory passes 32 MiB up and then down, and meanwhile measures the live heap, each time after a collection, since the
// amount of garbage depends on the rest of the process.
func flatMemory(r *rig) {
	const size = 32 << 20
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		if n, ok := same(req.Body, size); !ok {
			r.Errorf("the app got %d bytes that differ from what was sent", n)
		}
		io.Copy(w, limited(size))
	})
	addr := r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{})
	for _, proto := range both {
		before, most := live(), new(atomic.Uint64)
		bound := before + 16<<20
		up := &watchedHeap{limited(size), 0, bound, most}
		resp, err := r.client(proto).Do(r.request("POST", r.path.scheme()+"://"+addr, up))
		if err != nil {
			r.Fatal(err)
		}
		if n, ok := same(&watchedHeap{resp.Body, 0, bound, most}, size); !ok {
			r.Errorf("the client got %d bytes that differ from what was sent", n)
		}
		resp.Body.Close()
		if most.Load() > bound {
			r.Errorf("%d: the heap grew by %d MiB", proto, (most.Load()-before)>>20)
		}
	}
}

// watchedHeap is a body that measures the heap while it is read.
type watchedHeap struct {
	io.Reader
	n     int
	bound uint64
	most  *atomic.Uint64
}

func (w *watchedHeap) Read(p []byte) (int, error) {
	const every = 4 << 20
	n, err := w.Reader.Read(p)
	if (w.n+n)/every > w.n/every {
		w.most.Store(max(w.most.Load(), w.live()))
	}
	w.n += n
	return n, err
}

// live does not count garbage that other goroutines make after the collection, which may be much on a busy machine.
func (w *watchedHeap) live() uint64 {
	least := live()
	for range 3 {
		if least > w.bound {
			least = min(least, live())
		}
	}
	return least
}

// live is the size of the reachable objects in the heap.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func counted(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.WriteHeader(201)
		io.WriteString(w, strings.Repeat("x", 70_000))
	})
	for _, proto := range both {
		p := to(proxy.Upstream{Addr: app})
		r.do(r.client(proto), r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader(strings.Repeat("y", 50_000))))
		res, out := take(r, "the result", p.results), take(r, "the outcome", p.outcomes)
		if res.BytesIn != 50_000 || res.BytesOut != 70_000 || res.Status != 201 || res.Reason != proxy.ReasonNone || res.Attempts != 1 {
			r.Errorf("%d: %+v", proto, res)
		}
		if res.Total < res.Start || res.Start < res.Wait || res.Start == 0 {
			r.Errorf("%d: wait %v, start %v, total %v", proto, res.Wait, res.Start, res.Total)
		}
		if out.Status != 201 || out.Reason != proxy.ReasonNone || out.Connect <= 0 || out.FirstByte < out.Connect || out.Total < out.FirstByte || out.Reused {
			r.Errorf("%d: %+v", proto, out)
		}
	}
}

// truncated: a body that the app truncates is truncated for the client.
func truncated(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		h, _ := head(in)
		if strings.HasPrefix(h, "GET /chunked ") {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome")
	})
	for _, proto := range r.path.protos(proxy.HTTP1) {
		for _, path := range []string{"/chunked", "/length"} {
			p := to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1})
			resp, err := r.client(proto).Do(r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{})+path, nil))
			if err != nil {
				r.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			r.cut(err)
			if string(b) != "some" {
				r.Errorf("%s: body %q", path, b)
			}
			if res := take(r, "the result", p.results); res.Reason != proxy.ResponseTruncated || res.Status != 200 {
				r.Errorf("%s: %+v", path, res)
			}
			if out := take(r, "the outcome", p.outcomes); out.Reason != proxy.ResponseTruncated {
				r.Errorf("%s: %+v", path, out)
			}
		}
	}
}

func untilClose(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nall of it")
	})
	for _, proto := range r.path.protos(proxy.HTTP1) {
		addr := r.proxy(to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1}), proxy.Config{})
		if _, body := r.do(r.client(proto), r.request("GET", r.path.scheme()+"://"+addr, nil)); body != "all of it" {
			r.Errorf("%d: %q", proto, body)
		}
	}
}

// sequence: framing stays correct over many requests on one connection, however much of their bodies was read.
func sequence(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/ignore" {
			io.WriteString(w, "ignored")
			return
		}
		b, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s:%s", req.URL.Path, b)
	})
	addr := r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{})
	for _, proto := range both {
		c := r.client(proto)
		for i := range 30 {
			var body io.Reader = strings.NewReader(fmt.Sprint("body ", i))
			if i%2 == 1 {
				body = io.MultiReader(body) // hides the length
			}
			want := fmt.Sprintf("/read:body %d", i)
			path := "/read"
			if i%3 == 2 {
				path, want = "/ignore", "ignored"
			}
			if _, got := r.do(c, r.request("POST", r.path.scheme()+"://"+addr+path, body)); got != want {
				r.Errorf("%d: request %d: %q, want %q", proto, i, got, want)
			}
		}
	}
}

// uploads: the client's connection can be used again after an app has answered at the last byte of a large body.
func uploads(r *rig) {
	const size = 1 << 20
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) })
	addr := r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{})
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	atOnce(make([]bool, 8), func(bool) {
		w := r.dial(addr)
		for range 8 {
			if resp := w.send(request).answer("POST"); resp.StatusCode != 200 || resp.Close {
				r.Errorf("%s, close %v", resp.Status, resp.Close)
				return
			}
		}
	})
}
