package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// The request path of HTTP/2 clients, from faults that a review found.

// overHTTP2 is a client that speaks HTTP/2 without having been asked, on one connection.
func overHTTP2(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// byHand is a client of HTTP/2 whose frames are written by hand. A stream's window is what it announces.
type byHand struct {
	t   testing.TB
	fr  *http2.Framer
	c   net.Conn
	ids uint32
}

func dialByHand(t testing.TB, addr string, window uint32) *byHand {
	c, in := dialEngine(t, addr)
	h := &byHand{t: t, c: c, fr: http2.NewFramer(c, in)}
	h.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	io.WriteString(c, http2.ClientPreface)
	_ = h.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	return h
}

func (h *byHand) request(method, path string, end bool) (stream uint32) {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", method}, {":scheme", "http"}, {":authority", "x"}, {":path", path}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	h.ids = max(1, h.ids+2*min(1, h.ids))
	if err := h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: h.ids, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end}); err != nil {
		h.t.Error(err)
	}
	return h.ids
}

// until reads frames until one is what is wanted.
func (h *byHand) until(what string, f func(http2.Frame) bool) {
	h.t.Helper()
	for {
		fr, err := h.fr.ReadFrame()
		if err != nil {
			h.t.Fatalf("%s: %v", what, err)
		}
		if s, ok := fr.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = h.fr.WriteSettingsAck()
		}
		if f(fr) {
			return
		}
	}
}

func isHead(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok }

// rawUpstream serves each connection with f, and tells how many there were.
func rawUpstream(t testing.TB, f func(c net.Conn, in *bufio.Reader)) (addr string, conns *atomic.Int32) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int32)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			stop := context.AfterFunc(t.Context(), func() { c.Close() })
			all.Go(func() {
				defer stop()
				defer c.Close()
				f(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String(), conns
}

// rawHTTP1 answers each request with answer.
func rawHTTP1(answer func(n int, path string) string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		for n := 0; ; n++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, answer(n, r.URL.Path)); err != nil {
				return
			}
		}
	}
}

// to forwards to addr once, and tells each of more the result.
func to(addr string, p proxy.Proto, more ...func(proxy.Result)) policyFuncs {
	return policyFuncs{next: func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		return proxy.Forward(proxy.Upstream{Addr: addr, Proto: p}), a.Cause
	}, end: func(r proxy.Result) {
		for _, f := range more {
			f(r)
		}
	}}
}

func fetch(t testing.TB, c *http.Client, url string) (status int, body string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A connection of HTTP/1.1 is used again after a response without a body.
func TestUpstreamIsReusedAfterAResponseWithoutABody(t *testing.T) {
	for _, answer := range []string{"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n"} {
		addr, conns := rawUpstream(t, rawHTTP1(func(int, string) string { return answer }))
		url, c := "http://"+engineOf(t, to(addr, proxy.HTTP1), proxy.ServerConfig{}), overHTTP2(t)
		shards := max(1, runtime.GOMAXPROCS(0)/2)
		for range 5 {
			fetch(t, c, url)
		}
		if n := int(conns.Load()); n > shards {
			t.Errorf("%q: %d connections for 5 requests", answer, n)
		}
	}
}

// An upstream's connections are found again after one that was unused has ended, and been replaced.
func TestUpstreamIsReusedAfterAStaleConnection(t *testing.T) {
	addr, conns := rawUpstream(t, rawHTTP1(func(int, string) string {
		return "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 1\r\n\r\nx"
	}))
	url, c := "http://"+engineOf(t, to(addr, proxy.HTTP1), proxy.ServerConfig{}), overHTTP2(t)
	fetch(t, c, url)
	time.Sleep(1100 * time.Millisecond) // the time after which it is not used again
	for range 5 {
		fetch(t, c, url)
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// The proxy's own answer waits for a client that takes nothing yet.
func TestOwnAnswerAfterAFailedAttemptWaitsForTheWindow(t *testing.T) {
	addr, _ := rawUpstream(t, rawHTTP1(func(int, string) string { return "nonsense\r\n\r\n" }))
	h := dialByHand(t, engineOf(t, to(addr, proxy.HTTP1), proxy.ServerConfig{}), 0)
	stream := h.request("GET", "/", true)
	h.until("the head", isHead)
	_ = h.fr.WriteWindowUpdate(stream, 1000)
	h.until("the text", func(f http2.Frame) bool { d, ok := f.(*http2.DataFrame); return ok && d.StreamEnded() })
}

// Close answers the requests of all clients.
func TestCloseAnswersEveryClientOfHTTP2(t *testing.T) {
	const clients = 6
	begun := make(chan bool, clients)
	addr, _ := rawUpstream(t, func(_ net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			begun <- true
			_, _ = io.Copy(io.Discard, in)
		}
	})
	h, err := proxy.New(proxy.Config{Name: "x", Policy: to(addr, proxy.HTTP1)})
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, h)
	e := proxy.NewEngine(h, proxy.ServerConfig{})
	url := "http://" + serveInside(t, e, nil)
	var all sync.WaitGroup
	for range clients {
		c := overHTTP2(t)
		all.Go(func() {
			resp, err := c.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Error(resp.Status)
			}
		})
	}
	for range clients {
		<-begun
	}
	e.Close()
	all.Wait()
}

// A slot that is kept for a request that was cut is released when the engine ends.
func TestShutdownReleasesTheSlotsOfRequestsThatWereCut(t *testing.T) {
	began := make(chan bool, 1)
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
	}))
	app.Config.Protocols = new(http.Protocols)
	app.Config.Protocols.SetUnencryptedHTTP2(true)
	app.Start()
	defer app.Close()
	ended := make(chan proxy.Result, 1)
	h, err := proxy.New(proxy.Config{Name: "x", Policy: to(app.Listener.Addr().String(), proxy.HTTP2, func(r proxy.Result) { ended <- r })})
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, h)
	e := proxy.NewEngine(h, proxy.ServerConfig{})
	c := dialByHand(t, serveInside(t, e, nil), 1000)
	stream := c.request("GET", "/", true)
	<-began
	_ = c.fr.WriteRSTStream(stream, http2.ErrCodeCancel)
	_ = c.fr.WritePing(false, [8]byte{})
	c.until("the PING", func(f http2.Frame) bool { p, ok := f.(*http2.PingFrame); return ok && p.IsAck() })
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if n := h.InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
	if r := <-ended; r.Reason != proxy.ClientGone {
		t.Errorf("%+v", r)
	}
}

// h2Upstream serves HTTP/2 by hand: SETTINGS, and f for what comes.
func h2Upstream(t testing.TB, s []http2.Setting, f func(fr *http2.Framer, x http2.Frame) (more bool)) (addr string, conns *atomic.Int32) {
	return rawUpstream(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := io.CopyN(io.Discard, in, int64(len(http2.ClientPreface))); err != nil {
			return
		}
		fr := http2.NewFramer(c, in)
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		_ = fr.WriteSettings(s...)
		for {
			x, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if s, ok := x.(*http2.SettingsFrame); ok && !s.IsAck() {
				_ = fr.WriteSettingsAck()
			}
			if !f(fr, x) {
				return
			}
		}
	})
}

// headOf is the block of a head without a table.
func headOf(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// A response in full is passed on in full, although the upstream then says that it doesn't want the rest of the request.
func TestResetAfterACompleteResponseCutsNothing(t *testing.T) {
	body := strings.Repeat("x", 10000)
	addr, _ := h2Upstream(t, nil, func(fr *http2.Framer, x http2.Frame) bool {
		if x, ok := x.(*http2.MetaHeadersFrame); ok {
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: x.StreamID, BlockFragment: headOf(":status", "200"), EndHeaders: true})
			_ = fr.WriteData(x.StreamID, true, []byte(body))
			_ = fr.WriteRSTStream(x.StreamID, http2.ErrCodeNo)
		}
		return true
	})
	h := dialByHand(t, engineOf(t, to(addr, proxy.HTTP2), proxy.ServerConfig{}), 1)
	stream := h.request("POST", "/", false)
	got := 0
	whole := func(f http2.Frame) bool {
		if r, ok := f.(*http2.RSTStreamFrame); ok {
			t.Fatalf("reset with %v after %d bytes", r.ErrCode, got)
		}
		d, ok := f.(*http2.DataFrame)
		if ok {
			got += len(d.Data())
		}
		return ok && (got == 1 || d.StreamEnded())
	}
	h.until("the first byte", whole)
	time.Sleep(50 * time.Millisecond) // the reset is on its way
	_ = h.fr.WriteWindowUpdate(stream, 1<<20)
	h.until("the rest", whole)
	if got != len(body) {
		t.Errorf("%d bytes", got)
	}
}

// An upstream that allows no request is not dialled over and over.
func TestUpstreamThatAllowsNoStreamIsDialledOnce(t *testing.T) {
	addr, conns := h2Upstream(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}, func(*http2.Framer, http2.Frame) bool { return true })
	p := to(addr, proxy.SameProto)
	p.next = forwarding(addr, proxy.Timeouts{Total: 300 * time.Millisecond}, nil).next
	if status, _ := fetch(t, overHTTP2(t), "http://"+engineOf(t, p, proxy.ServerConfig{})); status != http.StatusGatewayTimeout {
		t.Errorf("status %d", status)
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// Requests that wait for a stream are given each that there is, on as many connections as it takes, though none of them ends.
func TestAllWhoWaitForAStreamGetOne(t *testing.T) {
	const each, requests = 2, 9
	var mu sync.Mutex
	var waiting []func()
	addr, conns := h2Upstream(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: each}}, func(fr *http2.Framer, x http2.Frame) bool {
		if x, ok := x.(*http2.MetaHeadersFrame); ok {
			mu.Lock()
			defer mu.Unlock()
			waiting = append(waiting, func() {
				_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: x.StreamID, BlockFragment: headOf(":status", "204"), EndHeaders: true, EndStream: true})
			})
			if len(waiting) == requests {
				for _, f := range waiting {
					f()
				}
			}
		}
		return true
	})
	url, c := "http://"+engineOf(t, to(addr, proxy.SameProto), proxy.ServerConfig{}), overHTTP2(t)
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			if status, _ := fetch(t, c, url); status != http.StatusNoContent {
				t.Errorf("status %d", status)
			}
		})
	}
	all.Wait()
	if n := conns.Load(); n != (requests+each-1)/each {
		t.Errorf("%d connections", n)
	}
}

// A connection on which an upstream says nothing doesn't hold up those who come when the first have given up.
func TestMuteUpstreamHoldsUpNobodyElse(t *testing.T) {
	var mute atomic.Bool
	mute.Store(true)
	addr, _ := rawUpstream(t, func(c net.Conn, in *bufio.Reader) {
		if mute.Load() {
			_, _ = io.Copy(io.Discard, in)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	})
	p := to(addr, proxy.SameProto)
	p.next = forwarding(addr, proxy.Timeouts{Total: 300 * time.Millisecond}, nil).next
	url, c := "http://"+engineOf(t, p, proxy.ServerConfig{}), overHTTP2(t)
	if status, _ := fetch(t, c, url); status != http.StatusGatewayTimeout {
		t.Errorf("status %d", status)
	}
	mute.Store(false)
	if status, body := fetch(t, c, url); status != http.StatusOK || body != "ok" {
		t.Errorf("status %d, %q", status, body)
	}
}

// An upstream that sends interim responses without end is stopped.
func TestEndlessInterimResponsesAreCut(t *testing.T) {
	addr, _ := rawUpstream(t, rawHTTP1(func(int, string) string {
		return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 200) + "HTTP/1.1 204 No Content\r\n\r\n"
	}))
	h := dialByHand(t, engineOf(t, to(addr, proxy.HTTP1), proxy.ServerConfig{}), 1000)
	h.request("GET", "/", true)
	n := 0
	h.until("the final head", func(f http2.Frame) bool {
		m, ok := f.(*http2.MetaHeadersFrame)
		if ok && m.PseudoValue("status") == "103" {
			n++
			return false
		}
		if ok && m.PseudoValue("status") != "502" {
			t.Errorf("status %s", m.PseudoValue("status"))
		}
		return ok
	})
	if n != 100 {
		t.Errorf("%d interim responses", n)
	}
}

// panicsAt panics in one of its methods.
type panicsAt struct {
	policyFuncs
	at string
}

func (p panicsAt) in(name string) {
	if p.at == name {
		panic("in " + name)
	}
}

func (p panicsAt) Begin(*proxy.Request) proxy.Exchange { p.in("Begin"); return p }

func (p panicsAt) Next(r *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
	p.in("Next")
	return p.policyFuncs.Next(r, a)
}

func (p panicsAt) Response(*proxy.Request, *proxy.Response) bool { p.in("Response"); return true }
func (p panicsAt) Release(proxy.Upstream, proxy.AttemptResult)   { p.in("Release") }
func (p panicsAt) End(r *proxy.Request, x proxy.Result)          { p.policyFuncs.End(r, x); p.in("End") }

// Whatever method of a policy panics, the request ends for the client and for the policy, and all others go on.
func TestRequestsOverHTTP2SurvivePanics(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(app.Close)
	for _, at := range []string{"Begin", "Next", "Response", "Release", "End"} {
		for _, addr := range []string{app.Listener.Addr().String(), "127.0.0.1:1"} {
			var ends atomic.Int32
			p := panicsAt{to(addr, proxy.HTTP1, func(proxy.Result) { ends.Add(1) }), at}
			h, err := proxy.New(proxy.Config{Name: "x", Policy: p})
			if err != nil {
				t.Fatal(err)
			}
			c := overHTTP2(t)
			url := "http://" + startEngine(t, h, proxy.ServerConfig{})
			for range 3 {
				resp, err := c.Get(url)
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := h.Drain(ctx); err != nil || h.InFlight() != 0 {
				t.Errorf("%s: %d in flight: %v", at, h.InFlight(), err)
			}
			cancel()
			if n := ends.Load(); at != "Begin" && n != 3 {
				t.Errorf("%s: %d of 3 ended", at, n)
			}
		}
	}
}
