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

// patience is how long something that must happen is waited for: the machine may be busy with a lot else.
const patience = time.Minute

// rig is what a case has to build with.
type rig struct {
	*testing.T
	path     Path
	scripted atomic.Bool // the case has needed more than a product gives
	streams  streams     // of its clients

	mu      sync.Mutex
	byHand  []*wire2
	running []*inProgress
}

// proxy serves p, with c as the rest of the configuration, of which a product has what its contract says.
func (r *rig) proxy(p *script, c proxy.Config) (addr string) {
	r.Helper()
	p.t = r.T
	settings := c
	settings.ExpectTimeout, settings.OnUnwatched = 0, nil // of a product the one is long enough, the other a line in its log
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
	r.Cleanup(func() { n.none(r.T) }) // when its clients have gone, and before it ends itself
	return addr
}

// self is the proxy that p is watched at.
func (r *rig) self(p *script) Self {
	if p.front {
		return r.path.Front
	}
	return r.path.Back
}

// app serves h on a port of its own, HTTP/1.1 and HTTP/2. It takes larger heads than a proxy.
func (r *rig) app(h http.HandlerFunc) (addr string) { return r.appOn(r.listen(), h) }

func (r *rig) appOn(l net.Listener, h http.HandlerFunc) (addr string) {
	var running sync.WaitGroup
	s := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		running.Add(1) // not after the wait: the server's connections have ended by then
		defer running.Done()
		h(w, req)
	}), proxy.ServerConfig{MaxTarget: 1 << 20, MaxHead: 1 << 20, MaxFields: 1 << 20})
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
			all.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				// Who says nothing looks whether anybody listens: it is no client of the app's.
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

// deadAddr is an address where nobody listens: port 1 is privileged, and tcpmux has died out. A port that was free a
// moment ago may be given to the proxy itself.
const deadAddr = "127.0.0.1:1"

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
