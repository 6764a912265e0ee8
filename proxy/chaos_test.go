package proxy_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	mrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// ledger is a policy that sends requests to random upstreams with random timeouts, has some wait, and keeps account of what it is
// called for.
type ledger struct {
	t         testing.TB
	upstreams []proxy.Upstream
	begun     atomic.Int64
	open      atomic.Int64 // requests
	held      atomic.Int64 // upstreams that were chosen, and not released
}

type entry struct {
	proxy.NopExchange
	l      *ledger
	held   int
	ended  bool
	waited bool
}

func (l *ledger) Begin(*proxy.Request) proxy.Exchange {
	l.begun.Add(1)
	l.open.Add(1)
	return &entry{l: l}
}

func (e *entry) Next(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	if e.held != 0 || e.ended {
		e.l.t.Errorf("Next with %d upstreams, ended: %v", e.held, e.ended)
	}
	if a.Ended != nil {
		return proxy.Decision{}, a.Ended
	}
	if a.Last {
		return proxy.Decision{}, a.Cause
	}
	switch n := mrand.IntN(12); {
	case n == 0 && !e.waited:
		e.waited = true
		wake := r.Suspend(proxy.Timeouts{Total: time.Second})
		time.AfterFunc(time.Duration(mrand.IntN(5))*time.Millisecond, wake)
		return proxy.Wait(), nil
	case n == 1 && !e.waited:
		e.waited = true
		return r.Await(proxy.Timeouts{Total: time.Second}, func(ctx context.Context) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}), nil
	case n == 2:
		return proxy.Answer(&proxy.Local{Status: 503, Body: strings.Repeat("no ", 10000)}), nil
	}
	u := e.l.upstreams[mrand.IntN(len(e.l.upstreams))]
	u.Replay = mrand.IntN(2) == 0
	if mrand.IntN(4) == 0 {
		u.Timeouts = proxy.Timeouts{Total: time.Duration(1+mrand.IntN(60)) * time.Millisecond}
	}
	if mrand.IntN(4) == 0 {
		u.Timeouts.Idle = time.Duration(1+mrand.IntN(30)) * time.Millisecond
	}
	e.held++
	e.l.held.Add(1)
	return proxy.Forward(u), nil
}

func (e *entry) Release(proxy.Upstream, proxy.AttemptResult) {
	e.held--
	e.l.held.Add(-1)
	if e.held != 0 || e.ended {
		e.l.t.Errorf("Release: %d more, ended: %v", e.held, e.ended)
	}
}

func (e *entry) End(*proxy.Request, proxy.Result) {
	if e.held != 0 || e.ended {
		e.l.t.Errorf("End: %d upstreams, ended: %v", e.held, e.ended)
	}
	e.ended = true
	e.l.open.Add(-1)
}

// moody is an app that does all that apps do.
func moody(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	switch mrand.IntN(10) {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		time.Sleep(time.Duration(mrand.IntN(40)) * time.Millisecond)
	case 2:
		w.WriteHeader(http.StatusEarlyHints)
	case 3:
		w.WriteHeader(http.StatusNoContent)
		return
	case 4:
		_, _ = w.Write(make([]byte, 1000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case 5:
		w.Header().Set("Trailer", "X-End")
		defer w.Header().Set("X-End", "1")
	case 6:
		w.Header().Set("Connection", "close")
	case 7:
		return // the body isn't read
	}
	n, _ := io.Copy(w, r.Body)
	if n == 0 && mrand.IntN(3) == 0 {
		_, _ = w.Write(make([]byte, mrand.IntN(1<<20)))
	}
}

// Whatever clients and apps do, of each request the policy hears Begin and End once, and Release once for each upstream; nothing is
// in progress afterwards, no body arrives changed, and neither goroutines (TestMain) nor descriptors are left.
func TestRequestsOverHTTP2AddUp(t *testing.T) {
	before := openFiles(t)
	l := &ledger{t: t}
	stop := startMoody(l)
	h, err := proxy.New(proxy.Config{Name: "x", Policy: l, RetryBurst: 1000})
	if err != nil {
		t.Fatal(err)
	}
	e := proxy.NewEngine(h, proxy.ServerConfig{StreamWindow: 64 << 10})
	addr, ended := serveUntilClosed(t, e)
	duration := 3 * time.Second
	if testing.Short() {
		duration = time.Second
	}
	until := time.Now().Add(duration)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
			tr.Protocols.SetUnencryptedHTTP2(true)
			defer tr.CloseIdleConnections()
			var some sync.WaitGroup
			for range 8 {
				some.Go(func() {
					for time.Now().Before(until) {
						erratic(t, tr, "http://"+addr)
					}
				})
			}
			some.Wait()
		})
	}
	all.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Drain(ctx); err != nil || h.InFlight() != 0 || l.open.Load() != 0 || l.held.Load() != 0 {
		t.Errorf("%d in flight (%v), %d requests open, %d upstreams held, of %d", h.InFlight(), err, l.open.Load(), l.held.Load(), l.begun.Load())
	}
	e.Close()
	<-ended
	h.Close()
	stop()
	for deadline := time.Now().Add(time.Minute); openFiles(t) > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", openFiles(t), before)
		}
	}
	t.Logf("%d requests", l.begun.Load())
}

// startMoody starts apps of both protocols, and names one that isn't there.
func startMoody(l *ledger) (stop func()) {
	var apps []*httptest.Server
	for _, h2 := range []bool{false, true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(moody))
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(h2)
		s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 5}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Start()
		apps = append(apps, s)
		l.upstreams = append(l.upstreams, proxy.Upstream{Addr: s.Listener.Addr().String()}, proxy.Upstream{Addr: s.Listener.Addr().String(), Proto: proxy.HTTP1})
	}
	l.upstreams = append(l.upstreams, proxy.Upstream{Addr: apps[1].Listener.Addr().String(), Proto: proxy.HTTP2}, proxy.Upstream{Addr: "127.0.0.1:1"})
	return func() {
		for _, s := range apps {
			s.CloseClientConnections()
			s.Close()
		}
	}
}

func serveUntilClosed(t testing.TB, e *proxy.Engine) (addr string, ended chan struct{}) {
	ln := httptest.NewUnstartedServer(nil).Listener
	ended = make(chan struct{})
	go func() { defer close(ended); _ = e.Serve(ln) }()
	return ln.Addr().String(), ended
}

// erratic makes a request with a random body, and reads the response slowly, or gives up at any time.
func erratic(t testing.TB, tr *http.Transport, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if mrand.IntN(4) == 0 {
		time.AfterFunc(time.Duration(mrand.IntN(20000))*time.Microsecond, cancel)
	}
	var sent []byte
	var body io.Reader
	method := "GET"
	if mrand.IntN(2) == 0 {
		method = []string{"POST", "PUT"}[mrand.IntN(2)]
		sent = make([]byte, 1+mrand.IntN([]int{100, 60000, 400000}[mrand.IntN(3)]))
		_, _ = rand.Read(sent)
		body = strings.NewReader(string(sent))
		if mrand.IntN(2) == 0 {
			body = struct{ io.Reader }{body} // of unknown length
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Error(err)
		return
	}
	if mrand.IntN(5) == 0 && body != nil {
		r.Header.Set("Expect", "100-continue")
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	got, err := slowly(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK && len(sent) > 0 && len(got) > 0 && string(got) != string(sent) {
		t.Errorf("%d bytes came back of %d, and not the same", len(got), len(sent))
	}
}

var errEnough = errors.New("the client has had enough")

func slowly(r io.Reader) (got []byte, err error) {
	buf, stopAt, pause := make([]byte, 32<<10), mrand.IntN(1<<21), mrand.IntN(3) == 0
	for {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		switch {
		case err == io.EOF:
			return got, nil
		case err != nil:
			return got, err
		case len(got) > stopAt:
			return got, errEnough
		case pause:
			time.Sleep(time.Duration(mrand.IntN(3)) * time.Millisecond)
		}
	}
}

// openFiles is how many the process has open.
func openFiles(t testing.TB) int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(fmt.Sprint("descriptors can't be counted here: ", err))
	}
	return len(all)
}
