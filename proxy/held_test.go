package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// crowd is an engine whose /wait is answered when release is closed.
type crowd struct {
	*testing.T
	engine  *proxy.Engine
	addr    string
	release chan bool
	waiting atomic.Int64
	refused chan *proxy.Error
}

func newCrowd(t *testing.T, c proxy.ServerConfig) *crowd {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newCrowdOn(t, c, l)
}

func newCrowdOn(t *testing.T, c proxy.ServerConfig, l net.Listener) *crowd {
	r := &crowd{T: t, release: make(chan bool), refused: make(chan *proxy.Error, 1000)}
	c.OnRejected = func(_ string, err *proxy.Error) { r.refused <- err }
	h, err := proxy.New(proxy.Config{Name: "x", Policy: policyFuncs{next: func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		if req.Target == "/wait" && !r.released() && a.Ended == nil {
			r.waiting.Add(1)
			return req.Await(proxy.Timeouts{}, func(ctx context.Context) {
				select {
				case <-r.release:
				case <-ctx.Done():
				}
			}), nil
		}
		return proxy.Answer(&proxy.Local{Status: 200, Body: "served"}), nil
	}}})
	if err != nil {
		t.Fatal(err)
	}
	r.engine, r.addr = proxy.NewEngine(h, c), l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.engine.Serve(l) }()
	t.Cleanup(func() {
		r.free()
		r.engine.Close()
		<-served
		h.Close()
	})
	return r
}

func (r *crowd) free() {
	if !r.released() {
		close(r.release)
	}
}

func (r *crowd) released() bool {
	select {
	case <-r.release:
		return true
	default:
		return false
	}
}

// dial connects from an address of 127.0.0.0/8.
func (r *crowd) dial(from string) (net.Conn, *bufio.Reader) {
	r.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", r.addr)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c, bufio.NewReader(c)
}

// ask has a request answered, or says why not.
func (r *crowd) ask(c net.Conn, in *bufio.Reader) error {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// usage is that of one bound.
func (r *crowd) usage(name string) proxy.Usage {
	r.Helper()
	for _, u := range r.engine.Usage() {
		if u.Name == name {
			return u
		}
	}
	r.Fatal("no bound called " + name)
	panic("unreachable")
}

func (r *crowd) await(what string, is func() bool) {
	r.Helper()
	for begin := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			r.Fatalf("not within a minute: %s; %+v", what, r.engine.Usage())
		}
	}
}

// Heads of 61 kB that don't end, on connections of one client: their memory keeps to the bound, the oldest go, and heads
// that come are read.
func TestF8UnfinishedHeads(t *testing.T) {
	const limit = 2 << 20
	r := newCrowd(t, proxy.ServerConfig{MaxHead: 100 << 10, MaxUnfinishedHeads: limit})
	part := "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 61_000-29)
	conns, ins := make([]net.Conn, 300), make([]*bufio.Reader, 300)
	for i := range conns {
		conns[i], ins[i] = r.dial("127.0.0.1")
		if _, err := io.WriteString(conns[i], part); err != nil {
			t.Fatal(err)
		}
		r.await("the part to be held, in 64 KiB", func() bool {
			u := r.usage("unfinished_heads")
			if u.Used > limit || u.Limit != limit {
				t.Fatalf("%+v", u)
			}
			return u.Used == min(int64(i+1)<<16, limit) && u.Refused == uint64(max(0, i+1-limit>>16)) // one for one: so that the last is the newest
		})
	}
	if err := <-r.refused; err.Status != 408 || !strings.Contains(err.Error(), "max-unfinished-heads") {
		t.Errorf("%d %v", err.Status, err)
	}
	if _, err := io.Copy(io.Discard, ins[0]); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the oldest: %v", err)
	}
	last := len(conns) - 1
	if _, err := io.WriteString(conns[last], "\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, body := readAnswer(t, ins[last], "GET"); body != "served" {
		t.Errorf("the newest: %s", resp.Status)
	}
	c, in := r.dial("127.0.0.1")
	if err := r.ask(c, in); err != nil {
		t.Errorf("another: %v", err)
	}
	for _, c := range conns {
		c.Close()
	}
	r.await("nothing to be held", func() bool { return r.usage("unfinished_heads").Used == 0 })
}

// One client with as many connections as it can get leaves room for others; its own are not answered with those.
func TestF8ConnectionsOfOneClient(t *testing.T) {
	r := newCrowd(t, proxy.ServerConfig{MaxConns: 100, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.9.0/24")}})
	for range 70 {
		c, _ := r.dial("127.0.0.1")
		_, _ = io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") // one that was not let in may be gone already
	}
	r.await("the rest to be refused", func() bool { return len(r.refused) == 20 })
	if err := <-r.refused; !strings.Contains(err.Error(), "max-connections") {
		t.Error(err)
	}
	if u := r.usage("connections"); u.Used != 50 {
		t.Errorf("%+v", u)
	}
	for i := range 40 {
		c, in := r.dial(fmt.Sprintf("127.0.1.%d", i+1))
		if err := r.ask(c, in); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
	for i := range 10 { // an ingress may have whatever is left
		c, in := r.dial("127.0.9.1")
		if err := r.ask(c, in); err != nil {
			t.Errorf("connection %d of the ingress: %v", i, err)
		}
	}
	if u := r.usage("connections"); u.Used != 100 {
		t.Errorf("%+v", u)
	}
}

// A connection that has no request goes before another is refused, the one that has none for longest: the client's own
// when it has its part, anybody's when there is no room at all.
func TestF8IdleConnectionsMakeRoom(t *testing.T) {
	r := newCrowd(t, proxy.ServerConfig{MaxConns: 10})
	var conns []net.Conn
	var ins []*bufio.Reader
	open, room := 0, 5
	add := func(from string) {
		t.Helper()
		c, in := r.dial(from)
		conns, ins = append(conns, c), append(ins, in)
		if err := r.ask(c, in); err != nil {
			t.Fatalf("from %s: %v", from, err)
		}
		open++
		r.await("it to be idle", func() bool { return r.engine.Idle() == min(open, room) })
	}
	gone := func(i int) {
		t.Helper()
		if _, err := ins[i].ReadByte(); err != io.EOF {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	for range 5 {
		add("127.0.0.1")
	}
	add("127.0.0.1")
	gone(0)
	room = 10
	open--
	for i := range 5 {
		add(fmt.Sprintf("127.0.0.%d", i+2))
	}
	if err := r.ask(conns[1], ins[1]); err != nil {
		t.Fatal(err)
	}
	r.await("all to be idle", func() bool { return r.engine.Idle() == room })
	add("127.0.0.9") // there is no room: of all it is connection 2 that has been idle for longest
	gone(2)
	for _, i := range []int{1, 3, 10, 11} {
		if err := r.ask(conns[i], ins[i]); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if len(r.refused) > 0 {
		t.Error(<-r.refused)
	}
}

// Connections of HTTP/2 have a bound of their own within that of all: those without a stream make room, and those with
// one stay.
func TestF8ConnectionsOfHTTP2(t *testing.T) {
	r := newCrowd(t, proxy.ServerConfig{MaxHTTP2Conns: 20})
	var two http.Protocols
	two.SetUnencryptedHTTP2(true)
	client := func() *http.Client {
		tr := &http.Transport{Protocols: &two}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr, Timeout: time.Minute}
	}
	get := func(c *http.Client, path string) error {
		resp, err := c.Get("http://" + r.addr + path)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return err
	}
	for i := range 15 {
		if err := get(client(), "/"); err != nil {
			t.Fatal(err)
		}
		r.await("it to be idle", func() bool { return r.engine.Idle() == min(i+1, 10) })
	}
	if u := r.usage("http2_connections"); u.Used > 10 || u.Refused == 0 {
		t.Errorf("%+v", u)
	}
	answers := make(chan error, 10)
	for range 10 {
		go func(c *http.Client) { answers <- get(c, "/wait") }(client())
	}
	r.await("all to be in progress", func() bool { return r.waiting.Load() == 10 })
	if err := get(client(), "/"); err == nil {
		t.Error("an eleventh connection has been let in beside ten that are in use")
	}
	if err := <-r.refused; !strings.Contains(err.Error(), "max-http2-connections") {
		t.Error(err)
	}
	c, in := r.dial("127.0.0.1")
	if err := r.ask(c, in); err != nil {
		t.Errorf("HTTP/1.1: %v", err)
	}
	r.free()
	for range 10 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

// Connections inside TLS, of which each takes eight times as much as one in the clear, have a bound of their own within that
// of all, from the beginning of their handshake: those without a request make room, those with one stay, and no bound is
// shared with connections in the clear.
func TestF8ConnectionsInsideTLS(t *testing.T) {
	made := httptest.NewTLSServer(http.NotFoundHandler())
	defer made.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newCrowdOn(t, proxy.ServerConfig{MaxTLSConns: 20}, proxy.NewTLSListener(l, &tls.Config{Certificates: made.TLS.Certificates}))
	secure := func(from string) (net.Conn, *bufio.Reader) {
		c, _ := r.dial(from)
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		return c, bufio.NewReader(c)
	}
	first, in := secure("127.0.0.1")
	for i := range 15 { // ten is half of all, which the client may have
		c, in := first, in
		if i > 0 {
			c, in = secure("127.0.0.1")
		}
		if err := r.ask(c, in); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		r.await("it to be idle", func() bool { return r.engine.Idle() == min(i+1, 10) })
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("the connection that was idle for longest: %v", err)
	}
	if u := r.usage("tls_connections"); u.Used != 10 || u.Limit != 20 {
		t.Errorf("%+v", u)
	}

	for range 5 { // handshakes that don't begin
		r.dial("127.0.0.2")
	}
	r.await("them to be counted", func() bool { return r.usage("tls_connections").Used == 15 })
	r.await("one of them to make room when it has had time", func() bool {
		c, in := secure("127.0.0.2")
		defer c.Close()
		return r.ask(c, in) == nil
	})

	answers := make(chan error, 20)
	wait := func() {
		c, in := secure("127.0.0.3")
		if _, err := io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			answers <- err
			return
		}
		_, err := http.ReadResponse(in, nil)
		answers <- err
	}
	for range 20 {
		go wait()
	}
	r.await("those beyond the part of one client to be refused", func() bool { return r.waiting.Load() > 0 && r.waiting.Load()+int64(len(answers)) == 20 })
	if u := r.usage("tls_connections"); u.Used > 20 || u.Refused == 0 {
		t.Errorf("%+v", u)
	}
	if err := <-r.refused; !strings.Contains(err.Error(), "max-tls-connections") {
		t.Error(err)
	}
	r.free()
	served := 0
	for range 20 {
		if <-answers == nil {
			served++
		}
	}
	if int64(served) != r.waiting.Load() {
		t.Errorf("%d of %d that were let in have an answer", served, r.waiting.Load())
	}
}
