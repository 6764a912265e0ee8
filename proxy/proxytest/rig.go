package proxytest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// patience is how long a case waits for an event that must happen: the machine may be busy.
const patience = time.Minute

// rig has the parts from which a case is built.
type rig struct {
	*testing.T
	path     Path
	scripted atomic.Bool // the case has used something that no product has
	streams  streams     // HTTP/2 streams of its clients

	mu      sync.Mutex
	byHand  []*wire2
	running []*inProgress
}

// proxy serves p with the configuration c; a product uses only the parts of c that its contract names.
func (r *rig) proxy(p *script, c proxy.Config) (addr string) {
	r.Helper()
	p.t = r.T
	settings := c
	settings.ExpectTimeout, settings.OnUnwatched = 0, nil // a product has its own: the timeout is long enough, and OnUnwatched logs
	if !p.asProduct() || !reflect.DeepEqual(settings, proxy.Config{}) {
		r.scripted.Store(true)
	}
	n := r.counter()
	if r.path.Product != nil {
		if r.scripted.Load() {
			r.Fatal("the case is scripted, and the table doesn't say so")
		}
		s := p.setting()
		s.Watch = func(q proxy.Policy) proxy.Policy { return n.count(p.watch(q)) }
		addr = r.path.Product(r.T, s)
	} else {
		c.Policy, c.Name = n.count(p.watch(p)), own.Name
		if c.Private == nil {
			c.Private = []string{privateField}
		}
		addr = r.path.Serve(r.T, c)
	}
	r.Cleanup(func() { n.none(r.T) }) // after its clients have gone, and before it ends
	return addr
}

// self describes the proxy whose policy p watches.
func (r *rig) self(p *script) Self {
	if p.front {
		return r.path.Front
	}
	return r.path.Back
}

// app serves h on its own port, for HTTP/1.1 and HTTP/2. It accepts larger heads than a proxy.
func (r *rig) app(h http.HandlerFunc) (addr string) { return r.appOn(r.listen(), h) }

func (r *rig) appOn(l net.Listener, h http.HandlerFunc) (addr string) {
	var running sync.WaitGroup
	s := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		running.Add(1) // the wait comes later, after the server's connections have ended
		defer running.Done()
		h(w, req)
	}), proxy.ServerConfig{MaxTarget: 1 << 20, MaxHead: 1 << 20, MaxFields: 1 << 20})
	running.Go(func() { _ = s.Serve(l) })
	r.Cleanup(func() { s.Close(); running.Wait() })
	return l.Addr().String()
}

// rawApp calls f with each connection, and closes it afterwards.
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
			all.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				// A connection without a byte is a probe of the port and no client of the app.
				if _, err := in.Peek(1); err == nil {
					f(c, in)
				}
			})
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

// deadAddr is an address at which no program listens: port 1 is privileged, and tcpmux is not in use any more. A port that was
// free a moment ago may be the proxy's own by now.
const deadAddr = "127.0.0.1:1"

// head reads the bytes of a head, up to the empty line.
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

// cut fails the case unless err is the error of a truncated body.
func (r *rig) cut(err error) {
	r.Helper()
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("the body ended with %v, want a cut", err)
	}
}
