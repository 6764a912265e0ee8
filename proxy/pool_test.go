package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// use makes one request over a connection of p's and gives it back.
func use(t *testing.T, p *pool, key upstreamKey, conns int) (reused bool) {
	t.Helper()
	var all []*conn
	for range conns {
		c, again, err := p.get(t.Context(), key, needs{repeatable: true})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest(http.MethodGet, "http://"+key.addr, nil)
		resp, err := c.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		reused = again
		all = append(all, c)
	}
	for _, c := range all {
		p.put(c, 0)
	}
	return reused
}

func testPool(t *testing.T, c Config) (*pool, *httptest.Server) {
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	app.Config.Protocols = new(http.Protocols)
	app.Config.Protocols.SetHTTP1(true)
	app.Config.Protocols.SetUnencryptedHTTP2(true)
	app.Start()
	t.Cleanup(app.Close)
	c = c.withDefaults()
	p := newPool(&c)
	t.Cleanup(p.close)
	return p, app
}

func (p *pool) kept() (idle, upstreams int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle.n, len(p.upstreams)
}

func TestPoolKeepsNoMoreThanItMay(t *testing.T) {
	p, app := testPool(t, Config{MaxIdleConns: 3, MaxIdleConnsPerHost: 2})
	other := httptest.NewServer(app.Config.Handler)
	defer other.Close()
	one, two := upstreamKey{addr: app.Listener.Addr().String(), proto: HTTP1}, upstreamKey{addr: other.Listener.Addr().String(), proto: HTTP1}
	if use(t, p, one, 5) {
		t.Error("a fresh connection was called reused")
	}
	if idle, upstreams := p.kept(); idle != 2 || upstreams != 1 {
		t.Errorf("%d idle connections to %d upstreams, want 2 to 1", idle, upstreams)
	}
	use(t, p, two, 2)
	if idle, _ := p.kept(); idle != 3 {
		t.Errorf("%d idle connections, want 3", idle)
	}
	if !use(t, p, one, 1) || !use(t, p, two, 1) {
		t.Error("an idle connection was not used")
	}
	p.close()
	if idle, upstreams := p.kept(); idle != 0 || upstreams != 0 {
		t.Errorf("%d connections to %d upstreams after close", idle, upstreams)
	}
}

// What is not used any more is forgotten: connections, upstreams, and TLS configurations with them.
func TestPoolForgets(t *testing.T) {
	p, app := testPool(t, Config{IdleConnTimeout: 20 * time.Millisecond})
	secure := httptest.NewTLSServer(app.Config.Handler)
	defer secure.Close()
	config := secure.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	for _, key := range []upstreamKey{
		{addr: app.Listener.Addr().String(), proto: HTTP1},
		{addr: app.Listener.Addr().String(), proto: SameProto},
		{addr: app.Listener.Addr().String(), proto: HTTP2},
		{addr: secure.Listener.Addr().String(), tls: config, proto: HTTP1},
	} {
		use(t, p, key, 1)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		idle, upstreams := p.kept()
		if idle == 0 && upstreams == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d idle connections to %d upstreams are left", idle, upstreams)
		}
	}
	if _, _, err := p.get(t.Context(), upstreamKey{addr: secure.Listener.Addr().String(), tls: new(tls.Config), proto: HTTP1}, needs{repeatable: true}); ReasonOf(err) != TLSFailed {
		t.Errorf("untrusted: %v", err)
	}
	if _, upstreams := p.kept(); upstreams != 0 {
		t.Errorf("%d upstreams after a failed dial", upstreams)
	}
}

// A burst of HTTP/2 requests to a new upstream makes one dial, and shares it.
func TestPoolDialsHTTP2Once(t *testing.T) {
	dials := make(chan bool, 100)
	p, app := testPool(t, Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials <- true
		return new(net.Dialer).DialContext(ctx, network, addr)
	}})
	key := upstreamKey{addr: app.Listener.Addr().String(), proto: HTTP2}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			c, _, err := p.get(t.Context(), key, needs{repeatable: true})
			if err != nil {
				t.Error(err)
				return
			}
			c.Release()
		})
	}
	all.Wait()
	if n := len(dials); n != 1 {
		t.Errorf("%d dials", n)
	}
}

// Who waits for another's dial shares its failure, but not its being abandoned.
func TestPoolSharesAFailedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials, proceed := 0, make(chan error)
		c := Config{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			dials++
			select {
			case err := <-proceed:
				return nil, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}.withDefaults()
		p := newPool(&c)
		key := upstreamKey{addr: "h:1", proto: HTTP2}
		var mu sync.Mutex
		var reasons []Reason
		get := func(ctx context.Context) {
			_, _, err := p.get(ctx, key, needs{repeatable: true})
			mu.Lock()
			defer mu.Unlock()
			reasons = append(reasons, ReasonOf(err))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		go get(ctx)
		synctest.Wait()
		for range 9 {
			go get(t.Context())
		}
		synctest.Wait()
		cancel(errClientGone)
		synctest.Wait()
		if dials != 2 || !slices.Equal(reasons, []Reason{ClientGone}) {
			t.Errorf("after the first client had gone: %d dials, %v", dials, reasons)
		}
		proceed <- syscall.ECONNREFUSED
		synctest.Wait()
		if dials != 2 || len(reasons) != 10 || slices.Contains(reasons[1:], ClientGone) || reasons[9] != ConnectRefused {
			t.Errorf("after the dial failed: %d dials, %v", dials, reasons)
		}
		if _, upstreams := p.kept(); upstreams != 0 {
			t.Errorf("%d upstreams are left", upstreams)
		}
	})
}

// A request that looked before it was found out that the upstream speaks HTTP/1.1 only, and dials after, asks only for gRPC.
func TestF14WhoLookedBeforeDoesNotAskAgain(t *testing.T) {
	dials := 0
	c := Config{Dial: func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, syscall.ECONNREFUSED
	}}.withDefaults()
	p := newPool(&c)
	key := upstreamKey{addr: "h:1", proto: SameProto}
	p.http1Only.add(key)
	if _, _, err := p.getShared(t.Context(), key, false); !errors.Is(err, errHTTP1Only) || dials != 0 {
		t.Errorf("%v, %d dials", err, dials)
	}
	if _, _, err := p.getShared(t.Context(), key, true); ReasonOf(err) != ConnectRefused || dials != 1 {
		t.Errorf("gRPC: %v, %d dials", err, dials)
	}
}
