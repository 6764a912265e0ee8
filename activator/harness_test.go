package activator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
	"go.uber.org/zap"
)

var hello = throttler.RevisionID{Namespace: "default", Name: "hello-00001"}

const helloHost = "hello-00001.default.svc.cluster.local"

// pod is a queue-proxy and its app in one: it answers probes, holds them until it is ready, refuses what it has no
// slot for when told not to queue, and counts.
type pod struct {
	id, addr string
	limit    int // 0: none; beyond it a request waits
	app      http.HandlerFunc
	wrap     http.HandlerFunc // answers instead; nil: ServeHTTP does
	slots    chan struct{}
	ready    chan struct{} // closed: ready
	server   *http.Server
	ended    chan struct{}

	inFlight, most, served, refused atomic.Int64
}

// newPod makes a pod that listens, and is ready unless held.
func newPod(t testing.TB, id string, limit int, held bool, app http.HandlerFunc) *pod {
	t.Helper()
	p := &pod{id: id, limit: limit, app: app, ready: make(chan struct{})}
	if p.app == nil {
		p.app = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, id) }
	}
	if limit > 0 {
		p.slots = make(chan struct{}, limit)
	}
	if !held {
		close(p.ready)
	}
	p.listen(t, "127.0.0.1:0")
	t.Cleanup(p.kill)
	return p
}

func (p *pod) listen(t testing.TB, addr string) {
	t.Helper()
	var l net.Listener
	await(t, "the address to be free", func() bool {
		var err error
		l, err = net.Listen("tcp", addr)
		return err == nil
	})
	p.addr = l.Addr().String()
	p.ended = make(chan struct{})
	p.server = &http.Server{Handler: p, Protocols: protocols()}
	if p.wrap != nil {
		p.server.Handler = p.wrap
	}
	go func(s *http.Server, ended chan struct{}) { defer close(ended); _ = s.Serve(l) }(p.server, p.ended)
}

// kill is the end of a pod's machine: connections are cut.
func (p *pod) kill() { _ = p.server.Close(); <-p.ended }

// drain ends the pod as a queue-proxy does: it serves on until nothing has come for a while, and what is in flight
// ends.
func (p *pod) drain(t testing.TB) {
	t.Helper()
	// Of a queue-proxy it is 5 s at least, after which nobody who had chosen the pod before is still on his way. On a
	// machine that is busy with other tests some take their time.
	const quiet = 1500 * time.Millisecond
	for last, since := int64(-1), time.Now(); time.Since(since) < quiet; time.Sleep(10 * time.Millisecond) {
		if n := p.served.Load(); n != last || p.inFlight.Load() > 0 {
			last, since = n, time.Now()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	<-p.ended
}

func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func (p *pod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("K-Network-Probe") == "queue" {
		select {
		case <-p.ready:
			w.Header().Set("Sluice-Features", "no-queue")
			_, _ = io.WriteString(w, "queue")
		case <-r.Context().Done():
		}
		return
	}
	if p.limit > 0 && !p.enter(w, r) {
		return
	}
	n := p.inFlight.Add(1)
	for most := p.most.Load(); n > most && !p.most.CompareAndSwap(most, n); most = p.most.Load() {
	}
	p.served.Add(1)
	p.app(w, r)
	p.inFlight.Add(-1)
	if p.limit > 0 {
		<-p.slots
	}
}

func (p *pod) enter(w http.ResponseWriter, r *http.Request) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
	}
	if r.Header.Get("Sluice-No-Queue") == "1" {
		p.refused.Add(1)
		w.Header().Set("Sluice-Not-Processed", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	}
	select {
	case p.slots <- struct{}{}:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (p *pod) endpoint() activator.Endpoint { return activator.Endpoint{ID: p.id, Addr: p.addr} }

func endpointsOf(pods ...*pod) activator.Endpoints {
	var e activator.Endpoints
	for _, p := range pods {
		e.Ready = append(e.Ready, p.endpoint())
	}
	return e
}

// front is an activator that runs behind a server of its own.
type front struct {
	*activator.Activator
	url    string
	client *http.Client
}

func newFront(t testing.TB, c activator.Config) *front {
	t.Helper()
	return newLoggingFront(t, c, nil)
}

func newLoggingFront(t testing.TB, c activator.Config, log *zap.Logger) *front {
	t.Helper()
	a, err := activator.New(c, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- a.Run(ctx, nil) }()
	if err := a.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	url, end := serve(t, a)
	tr := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		end()
		cancel()
		if err := errors.Join(<-ran, a.Close()); err != nil {
			t.Error(err)
		}
	})
	return &front{a, url, &http.Client{Transport: tr}}
}

// serve serves a's requests as the binary does. End waits for those in progress, unless the test has failed.
func serve(t testing.TB, a *activator.Activator) (url string, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, served := a.Engine(proxy.ServerConfig{}), make(chan error, 1)
	go func() { served <- e.Serve(l) }()
	return "http://" + l.Addr().String(), func() {
		if !t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := e.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		}
		_ = e.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// get asks for the revision hello.
func (f *front) get(path string, header ...string) answer {
	return f.do(http.MethodGet, path, nil, header...)
}

func (f *front) do(method, path string, body []byte, header ...string) answer {
	req, err := http.NewRequest(method, f.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	req.Host = helloHost
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

func (a answer) ok() bool { return a.err == nil && a.status == http.StatusOK }

// String leaves out what is long.
func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %q", a.status, strings.TrimSpace(a.body))
}

// upload sends a body of unknown length that can't be had a second time.
func (f *front) upload(n int64) answer {
	req, err := http.NewRequest(http.MethodPost, f.url, io.LimitReader(neverEnding{}, n))
	if err != nil {
		return answer{err: err}
	}
	req.Host = helloHost
	resp, err := f.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b), err}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// only is one protocol for a client.
func only(http2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	return p
}

// together calls f n times at once and returns what it returned.
func together(n int, f func(i int) answer) []answer {
	all := make([]answer, n)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = f(i) })
	}
	wg.Wait()
	return all
}

// await polls until ok, for ten seconds.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (f *front) awaitWaiting(t testing.TB, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d requests to wait", n), func() bool {
		s, _ := f.Stats(hello)
		return s.Waiting == n
	})
}

func (f *front) awaitUsable(t testing.TB, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d usable pods", n), func() bool {
		s, _ := f.Stats(hello)
		return s.Usable == n
	})
}

func timeout(d time.Duration) proxy.Timeouts { return proxy.Timeouts{Total: d} }

func prometheusNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// blocking is a channel for an app to wait on, and what ends that. It may be called twice.
func blocking() (<-chan struct{}, func()) {
	c := make(chan struct{})
	return c, sync.OnceFunc(func() { close(c) })
}
