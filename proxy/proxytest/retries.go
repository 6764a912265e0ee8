package proxytest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

var retries = []testCase{
	{"ADialThatFailsGoesElsewhere", dialElsewhere, severalUpstreams},
	{"ThreeAttemptsAtMost", threeAttempts, severalUpstreams},
	{"NotProcessedGoesElsewhere", notProcessed, severalUpstreams},
	{"F12NotProcessedOfAStrangerIsNotBelieved", notBelieved, severalUpstreams},
	{"ABodyTooLargeToHold", tooLarge, severalUpstreams},
	{"APostThatMayHaveArrivedIsNotRepeated", postNotRepeated, ""},
	{"Peers6AnIdleConnectionThatWasClosed", idleClosed, ""},
	{"F16AServerThatRecyclesConnections", recycling, ""},
	{"Peers6KeepAliveTimeoutIsHonoured", keepAliveHonoured, ""},
	{"F10ARequestWhoseConnectionEndedGoesElsewhere", endedElsewhere, severalUpstreams},
	{"AStreamThatWaitsIsSentElsewhere", streamElsewhere, severalUpstreams},
	{"TheBudgetIsLimited", budgetLimited, smallBudget},
	{"AnUpstreamThatGoesAway", goAway, ""},
}

// upstreams forwards each attempt to another upstream.
func upstreams(addrs ...string) *script {
	return newScript(func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		if a.N >= len(addrs) {
			return proxy.Decision{}, a.Cause
		}
		return proxy.Forward(proxy.Upstream{Addr: addrs[a.N], NotProcessed: notProcessedField}), nil
	})
}

// notProcessedField is the field by which the upstreams of upstreams decline a request.
const notProcessedField = "Not-Processed"

// dialElsewhere: after a failed dial nothing was sent, so that a request of any method goes to another upstream, with its
// whole body.
func dialElsewhere(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.Copy(w, req.Body) })
	for _, proto := range both {
		p := upstreams(deadAddr, app)
		_, body := r.do(r.client(proto), r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader("body")))
		if body != "body" {
			r.Errorf("%d: %q", proto, body)
		}
		if o := take(r, "the first outcome", p.outcomes); o.Reason != proxy.ConnectRefused {
			r.Errorf("%d: %+v", proto, o)
		}
		if o := take(r, "the second outcome", p.outcomes); o.Reason != proxy.ReasonNone {
			r.Errorf("%d: %+v", proto, o)
		}
		if res := take(r, "the result", p.results); res.Attempts != 2 || res.Status != 200 || res.BytesIn != 4 {
			r.Errorf("%d: %+v", proto, res)
		}
	}
}

func threeAttempts(r *rig) {
	for _, proto := range both {
		p := upstreams(deadAddr, deadAddr, deadAddr, deadAddr, deadAddr)
		resp, body := r.do(r.client(proto), r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil))
		if resp.StatusCode != 502 || !strings.Contains(body, "refused") || !strings.HasSuffix(body, "\n") {
			r.Errorf("%s %q", resp.Status, body)
		}
		if res := take(r, "the result", p.results); res.Attempts != 3 || res.Reason != proxy.ConnectRefused {
			r.Errorf("%+v", res)
		}
	}
}

// notProcessed: an answer with notProcessedField is discarded and the request retried if the policy asks for it, also a POST.
func notProcessed(r *rig) {
	busy := r.app(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == "PUT" {
			io.Copy(io.Discard, req.Body)
		}
		w.Header().Set(notProcessedField, "1")
		w.WriteHeader(503)
		io.WriteString(w, "busy")
	})
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.Copy(w, req.Body) })
	for _, proto := range both {
		for _, method := range []string{"POST", "PUT"} {
			p := upstreams(busy, busy, app)
			p.response = func(_ *proxy.Request, resp *proxy.Response) bool { return resp.Status != 503 }
			addr := r.proxy(p, proxy.Config{RetryBurst: -1}) // such answers don't count against the budget
			if _, got := r.do(r.client(proto), r.request(method, r.path.scheme()+"://"+addr, strings.NewReader("body"))); got != "body" {
				r.Errorf("%d %s: %q", proto, method, got)
			}
			for range 2 {
				if o := take(r, "an outcome", p.outcomes); o.Reason != proxy.Busy || o.Status != 503 {
					r.Errorf("%+v", o)
				}
			}
			p = upstreams(busy, busy, busy, app)
			p.response = func(_ *proxy.Request, resp *proxy.Response) bool { return resp.Status != 503 }
			if resp, got := r.do(r.client(proto), r.request(method, r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader("body"))); resp.StatusCode != 503 || got != "busy" {
				r.Errorf("%d: the third answer: %s %q", proto, resp.Status, got)
			}
		}
	}
	// An answer without the field is passed to the client, even if the policy asks for a retry.
	plain := r.app(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	p := upstreams(plain, app)
	p.response = func(*proxy.Request, *proxy.Response) bool { return false }
	if resp, _ := r.do(r.client(proxy.HTTP1), r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil)); resp.StatusCode != 503 {
		r.Errorf("%s", resp.Status)
	}
}

// notBelieved: an answer with the field is passed to the client unless the policy trusts this upstream.
func notBelieved(r *rig) {
	for _, proto := range both {
		for _, status := range []int{200, 429, 502, 503} {
			var asked atomic.Int32
			stranger := r.app(func(w http.ResponseWriter, req *http.Request) {
				asked.Add(1)
				w.Header().Set(notProcessedField, "1")
				w.WriteHeader(status)
			})
			p := newScript(func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
				return proxy.Forward(proxy.Upstream{Addr: stranger}), nil
			})
			p.response = func(*proxy.Request, *proxy.Response) bool { return false }
			resp, _ := r.do(r.client(proto), r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader("body")))
			if resp.StatusCode != status || asked.Load() != 1 {
				r.Errorf("%d: %s, executed %d times", proto, resp.Status, asked.Load())
			}
		}
	}
}

// tooLarge: a body that is too large to hold can't be sent again.
func tooLarge(r *rig) {
	busy := r.app(func(w http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		w.Header().Set(notProcessedField, "1")
		w.WriteHeader(503)
		fmt.Fprint(w, n)
	})
	for _, proto := range both {
		p := upstreams(busy, busy)
		p.response = func(*proxy.Request, *proxy.Response) bool { return false }
		resp, body := r.do(r.client(proto), r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), limited(65_537)))
		if resp.StatusCode != 503 || body != "65537" {
			r.Errorf("%d: %s %q", proto, resp.Status, body)
		}
	}
}

// postNotRepeated: a POST whose connection ends after it was sent may have been processed.
func postNotRepeated(r *rig) {
	var asked atomic.Int32
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		if h, _ := head(in); h != "" {
			asked.Add(1)
		}
	})
	p := to(proxy.Upstream{Addr: app})
	resp, body := r.do(r.client(proxy.HTTP1), r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader("body")))
	if res := take(r, "the result", p.results); resp.StatusCode != 502 || res.Reason != proxy.UpstreamClosed || res.Attempts != 1 || asked.Load() != 1 {
		r.Errorf("%s %q after %d requests, %+v", resp.Status, body, asked.Load(), res)
	}
}

// endedElsewhere: if a new connection ends before the answer, an idempotent request goes to another upstream with its body, if
// the policy allows that; other requests don't.
func endedElsewhere(r *rig) {
	dying := r.rawApp(func(_ net.Conn, in *bufio.Reader) { _, _ = head(in) })
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.Copy(w, req.Body) })
	for _, c := range []struct {
		method   string
		replay   bool
		attempts int
	}{{"PUT", true, 2}, {"PUT", false, 1}, {"POST", true, 1}} {
		for _, proto := range both {
			p := newScript(func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
				return proxy.Forward(proxy.Upstream{Addr: []string{dying, app}[a.N], Proto: proxy.HTTP1, Replay: c.replay}), nil
			})
			resp, body := r.do(r.client(proto), r.request(c.method, r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader("body")))
			res := take(r, "the result", p.results)
			if res.Attempts != c.attempts || (body == "body") != (c.attempts == 2) || (resp.StatusCode == 502) != (c.attempts == 1) {
				r.Errorf("%d, %+v: %s %q, %+v", proto, c, resp.Status, body, res)
			}
			if o := take(r, "the first outcome", p.outcomes); o.Reason != proxy.UpstreamClosed || o.Status != 0 {
				r.Errorf("%d, %+v: %+v", proto, c, o)
			}
		}
	}
}

// idleClosed: an app closes a connection when it is reused. A GET is sent again; a POST is not, unless the proxy notices
// before sending it that the connection has ended.
func idleClosed(r *rig) {
	var kind atomic.Int32 // how the app reacts to a second request on a connection
	ended := make(chan bool, 1)
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for i := 0; ; i++ {
			h, err := head(in)
			if err != nil || i > 0 && kind.Load() == 1 {
				return // after reading it
			}
			if strings.HasPrefix(h, "POST") {
				io.ReadFull(in, make([]byte, 4))
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if kind.Load() == 2 { // without an answer
				c.Close()
				ended <- true
				return
			}
		}
	})
	p := to(proxy.Upstream{Addr: app})
	addr, c := r.proxy(p, proxy.Config{}), r.client(proxy.HTTP1)
	ask := func(method string) (int, proxy.Result) {
		var body io.Reader
		if method == "POST" {
			body = strings.NewReader("body")
		}
		resp, _ := r.do(c, r.request(method, r.path.scheme()+"://"+addr, body))
		return resp.StatusCode, take(r, "the result", p.results)
	}
	kind.Store(2)
	for range 20 {
		if status, res := ask("POST"); status != 200 || res.Attempts != 1 {
			r.Errorf("POST on a connection that was closed before: %d, %+v", status, res)
		}
		take(r, "the end of the connection", ended)
	}
	kind.Store(0)
	ask("GET") // opens the connection
	kind.Store(1)
	if status, res := ask("POST"); status != 502 || res.Attempts != 1 {
		r.Errorf("POST: %d, %+v", status, res)
	}
	ask("GET") // opens another
	if status, res := ask("GET"); status != 200 || res.Attempts != 2 {
		r.Errorf("GET: %d, %+v", status, res)
	}
}

// recycling: an app closes each connection at its eleventh request, without an announcement, and clients open a connection for
// each request. The first POST that meets such a close is lost; later ones use new connections, while GETs still use kept
// ones and are retried.
func recycling(r *rig) {
	const each, clients, requests = 10, 4, 500
	var conns atomic.Int64
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		conns.Add(1)
		for range each {
			req, err := http.ReadRequest(in)
			if err != nil || req.Method == "PRI" { // this app has no HTTP/2
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
		_, _ = http.ReadRequest(in)
	})
	for _, proto := range r.path.protos(proxy.HTTP1) {
		p := to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1})
		addr := r.proxy(p, proxy.Config{})
		ask := func(method string) (lost int64) {
			var all sync.WaitGroup
			var failed atomic.Int64
			for range clients {
				all.Go(func() {
					c := r.client(proto)
					for range requests / clients {
						req := r.request(method, r.path.scheme()+"://"+addr, strings.NewReader("body"))
						if resp, _ := r.do(c, req); resp.StatusCode != 200 {
							failed.Add(1)
						}
						c.CloseIdleConnections()
						take(r, "the result", p.results)
						take(r, "the outcome", p.outcomes)
					}
				})
			}
			all.Wait()
			return failed.Load()
		}
		// As many POSTs as there are clients may meet a close at the same time: at first, and after the period of new
		// connections, which is 10 s, then 20 s. Without that period each eleventh POST fails.
		if n := ask("POST"); n > 3*clients {
			r.Errorf("%d: %d of %d POSTs failed", proto, n, requests)
		}
		before := conns.Load()
		if n := ask("PUT"); n > 0 {
			r.Errorf("%d: %d of %d PUTs failed, which can be repeated", proto, n, requests)
		}
		if n := conns.Load() - before; n > requests/2 {
			r.Errorf("%d: PUTs took %d connections, though they can be repeated", proto, n)
		}
	}
}

// keepAliveHonoured: a connection is not used after the time that the app announced in Keep-Alive.
func keepAliveHonoured(r *rig) {
	var conns atomic.Int32
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		conns.Add(1)
		for {
			if _, err := head(in); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=0, max=7\r\n\r\n")
		}
	})
	addr, c := r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}), r.client(proxy.HTTP1)
	for range 3 {
		r.do(c, r.request("GET", r.path.scheme()+"://"+addr, nil))
		time.Sleep(5 * time.Millisecond) // longer than the announced time
	}
	if n := conns.Load(); n != 3 {
		r.Errorf("%d connections for 3 requests", n)
	}
}

// streamElsewhere: an upstream declines a stream whose client waits for an answer before it sends more. The next upstream gets
// the bytes that were sent and then the rest.
func streamElsewhere(r *rig) {
	busy := r.app(func(w http.ResponseWriter, req *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // or net/http would wait for the body
		w.Header().Set(notProcessedField, "1")
		w.WriteHeader(503)
	})
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		w.WriteHeader(200)
		_ = rc.Flush()
		in := bufio.NewReader(req.Body)
		for {
			line, err := in.ReadString('\n')
			io.WriteString(w, line)
			_ = rc.Flush()
			if err != nil {
				return
			}
		}
	})
	for _, proto := range both {
		p := newScript(func(_ *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
			return proxy.Forward(proxy.Upstream{Addr: []string{busy, app}[a.N], NotProcessed: notProcessedField}), nil
		})
		p.response = func(_ *proxy.Request, resp *proxy.Response) bool { return resp.Status != 503 }
		body, send := io.Pipe()
		go func() { _, _ = io.WriteString(send, "first\n") }()
		resp, err := r.client(proto).Do(r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), body))
		if err != nil {
			r.Fatalf("%d: %v", proto, err)
		}
		in := bufio.NewReader(resp.Body)
		for _, line := range []string{"first\n", "second\n", "third\n"} {
			if line != "first\n" {
				_, _ = io.WriteString(send, line)
			}
			if got, err := in.ReadString('\n'); got != line {
				r.Fatalf("%d: %q, %v; want %q", proto, got, err, line)
			}
		}
		send.Close()
		resp.Body.Close()
	}
}

// budgetLimited: if everything fails, one request in five is retried.
func budgetLimited(r *rig) {
	p := upstreams(deadAddr, deadAddr, deadAddr)
	addr, c := r.proxy(p, proxy.Config{RetryBurst: 2}), r.client(proxy.HTTP1)
	const requests = 100
	attempts := 0
	for range requests {
		resp, _ := r.do(c, r.request("GET", r.path.scheme()+"://"+addr, nil))
		if resp.StatusCode != 502 {
			r.Errorf("%s", resp.Status)
		}
		attempts += take(r, "the result", p.results).Attempts
	}
	if extra := attempts - requests; extra < requests/5 || extra > requests/5+2 {
		r.Errorf("%d retries of %d requests", extra, requests)
	}
}

var errPolicy = errors.New("the policy is at a loss")
