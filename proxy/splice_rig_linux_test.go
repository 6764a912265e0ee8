package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/proxy"
)

// spliceRig is an engine between clients and an app that is given each connection after the head of its request.
type spliceRig struct {
	*testing.T
	h       *proxy.Handler
	addr    string
	results chan proxy.Result
}

func newSpliceRig(t *testing.T, timeouts proxy.Timeouts, app func(c *net.TCPConn, in *bufio.Reader, head *http.Request)) *spliceRig {
	before := descriptors(t)
	t.Cleanup(func() { // the last of all: everything has been closed
		for begin := time.Now(); ; time.Sleep(time.Millisecond) {
			left := descriptors(t)
			maps.DeleteFunc(left, func(what string, _ bool) bool { return before[what] })
			if len(left) == 0 {
				return
			}
			if time.Since(begin) > 10*time.Second {
				t.Errorf("descriptors are left: %v", slices.Collect(maps.Keys(left)))
				return
			}
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					app(c.(*net.TCPConn), in, req)
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	r := &spliceRig{T: t, results: make(chan proxy.Result, 1000)}
	r.h, err = proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{
		next: func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
			return proxy.Forward(proxy.Upstream{Addr: l.Addr().String(), Timeouts: timeouts}), a.Cause
		},
		end: func(res proxy.Result) { r.results <- res },
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.addr = startEngine(t, r.h, proxy.ServerConfig{})
	return r
}

// descriptors are the sockets and pipes of this process, by what the kernel calls them, which is never the same again:
// those of earlier tests may go meanwhile.
func descriptors(t *testing.T) map[string]bool {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, fd := range all {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "pipe:") {
			found[to] = true
		}
	}
	return found
}

// ask sends the head of a request.
func (r *spliceRig) ask(head string) (*net.TCPConn, *bufio.Reader) {
	c, in := dialEngine(r, r.addr)
	if _, err := io.WriteString(c, head); err != nil {
		r.Fatal(err)
	}
	return c.(*net.TCPConn), in
}

// upgraded makes an upgraded connection, of which the app says "hello".
func (r *spliceRig) upgraded() (*net.TCPConn, *bufio.Reader) {
	c, in := r.ask("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	for {
		switch line, err := in.ReadString('\n'); {
		case err != nil:
			r.Fatal(err)
		case line == "\r\n":
			return c, in
		}
	}
}

const upgradedTo = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// inUse waits until so many pipes are.
func (r *spliceRig) inUse(want int) {
	r.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		n, _ := r.h.Pipes()
		if n == want {
			return
		}
		if time.Since(begin) > 10*time.Second {
			r.Fatalf("%d pipes are in use, want %d", n, want)
		}
	}
}

// spliced says that there has been at least one splice.
func (r *spliceRig) spliced() {
	r.Helper()
	if used, unused := r.h.Pipes(); used+unused == 0 {
		r.Error("everything was copied")
	}
}

func (r *spliceRig) ended(why proxy.Reason) proxy.Result {
	r.Helper()
	select {
	case res := <-r.results:
		if res.Reason != why {
			r.Errorf("%+v, want %v", res, why)
		}
		return res
	case <-time.After(time.Minute):
		r.Fatal("the exchange does not end")
		panic("unreachable")
	}
}

const spliceLarge = 48 << 20 // more than sockets on loopback take by themselves

// bytesOf gives n bytes that tell where they are.
func bytesOf(n int64) io.Reader { return io.LimitReader(new(places), n) }

// places is the same bytes again and again, with a period that is no page's.
type places struct{ at int }

const period = 1<<16 + 1

var placeTable = sync.OnceValue(func() []byte {
	b := make([]byte, 2*period)
	for i := range b {
		b[i] = byte(i%period>>8) ^ byte(i%period*31)
	}
	return b
})

func (p *places) Read(b []byte) (int, error) {
	n := copy(b, placeTable()[p.at:])
	p.at = (p.at + n) % period
	return n, nil
}

// compare reads n bytes of r, which must be those of bytesOf.
func compare(t testing.TB, r io.Reader, n int64) {
	t.Helper()
	buf, place := make([]byte, 64<<10), 0
	for at := int64(0); at < n; {
		k, err := r.Read(buf[:min(int64(len(buf)), n-at)])
		if !bytes.Equal(buf[:k], placeTable()[place:place+k]) {
			t.Fatalf("the bytes from %d on are others", at)
		}
		place = (place + k) % period
		if at += int64(k); err != nil && at < n {
			t.Fatalf("%v after %d bytes of %d", err, at, n)
		}
	}
}

// paced counts what is read from it.
type paced struct {
	io.Reader
	n *atomic.Int64
}

func (p paced) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.n.Add(int64(n))
	return n, err
}

// stands waits until n grows no more, and holds it to be less than most.
func stands(t testing.TB, n *atomic.Int64, most int64) {
	t.Helper()
	for last := int64(-1); last != n.Load(); time.Sleep(50 * time.Millisecond) {
		last = n.Load()
	}
	if got := n.Load(); got == 0 || got >= most {
		t.Errorf("%d bytes of %d were taken from who sends them, though nobody reads them", got, most)
	}
}

// noDescriptors uses up all that there are.
func noDescriptors(t *testing.T) (restore func()) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	var fill []int
	restore = sync.OnceFunc(func() {
		for _, fd := range fill {
			unix.Close(fd)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(restore)
	last, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	fill = append(fill, last)
	few := was
	few.Cur = uint64(last) + 20
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	for {
		fd, err := unix.Dup(0)
		if err == unix.EMFILE {
			return restore
		}
		if err != nil {
			t.Fatal(err)
		}
		fill = append(fill, fd)
	}
}
