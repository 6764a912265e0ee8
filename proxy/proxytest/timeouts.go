package proxytest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

var timeouts = []testCase{
	{"BeforeTheAnswer", timeoutBefore, ""},
	{"WhileParked", timeoutParked, ""},
	{"Peers5AfterTheAnswerHasStarted", timeoutAfter, ""},
	{"IdleCountsBothDirections", idleBoth, ""},
	{"ALargeBodyThatTricklesIsActivity", trickling, ""},
	{"IdleCountsHeads", idleHeads, ""},
	{"InterimAnswersUntilTheTimeout", interimUntil, ""},
	{"Peers27AClientThatDoesNotRead", notReading, ""},
	{"TheyCountFromFrom", fromFrom, ownMoments},
	{"TheTextOfATimeout", timeoutText, ownErrorTexts},
	{"AStalledUpload", stalledUpload, ""},
}

// short is a timeout that a case waits for. Timeouts that must come later or never are many times longer, since the machine
// may be busy.
const short = 100 * time.Millisecond

var kinds = []struct {
	t      proxy.Timeouts
	reason proxy.Reason
}{
	{proxy.Timeouts{Total: short, ResponseStart: time.Hour}, proxy.TimeoutTotal},
	{proxy.Timeouts{ResponseStart: short}, proxy.TimeoutStart},
	{proxy.Timeouts{Idle: short}, proxy.TimeoutIdle},
}

// timeoutBefore: the answer is a 504 with its text and no newline, and a connection of HTTP/2 can be used again.
func timeoutBefore(r *rig) {
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	for _, k := range kinds {
		for _, proto := range both {
			p := to(proxy.Upstream{Addr: app, Timeouts: k.t})
			addr, c, res := r.proxy(p, proxy.Config{}), r.client(proto), proxy.Result{}
			for i := 0; res.Attempts == 0 && i < 20; i++ { // on a busy machine the timeout may end before the request reaches the app
				begin := time.Now()
				resp, body := r.do(c, r.request("GET", r.path.scheme()+"://"+addr, nil))
				if d := time.Since(begin); resp.StatusCode != 504 || body != r.self(p).TimeoutText || d < short || d > short+patience/2 {
					r.Errorf("%v: %s %q after %v", k.reason, resp.Status, body, d)
				}
				if res = take(r, "the result", p.results); res.Reason != k.reason || res.Status != 504 {
					r.Errorf("%v: %+v", k.reason, res)
				}
			}
			if out := take(r, "the outcome", p.outcomes); out.Reason != k.reason || out.Status != 0 {
				r.Errorf("%v: %+v", k.reason, out)
			}
		}
	}
}

// begins reports whether body is text, or text and further lines, in which a product names what the request waited for.
func begins(body, text string) bool { return body == text || strings.HasPrefix(body, text+"\n") }

// timeoutParked: the timeout is long enough for the request that occupies the slot to come first.
func timeoutParked(r *rig) {
	const long = 20 * short
	hold := func(proto proxy.Proto, t proxy.Timeouts, wait wait) {
		want := proxy.TimeoutStart
		if t.Total > 0 {
			want = proxy.TimeoutTotal
		}
		addr, p := r.parking(t, wait)
		resp, body := r.do(r.client(proto), r.request("POST", r.path.scheme()+"://"+addr, strings.NewReader("unread")))
		if resp.StatusCode != 504 || !begins(body, r.self(p).TimeoutText) {
			r.Errorf("%s %q", resp.Status, body)
		}
		if res := take(r, "the result", p.results); res.Reason != want || res.Total < long || res.Wait <= 0 {
			r.Errorf("%+v", res)
		}
	}
	atOnce(both, func(proto proxy.Proto) {
		atOnce([]proxy.Timeouts{{Total: long, ResponseStart: time.Hour}, {ResponseStart: long}}, func(t proxy.Timeouts) {
			atOnce(r.waits(), func(wait wait) { hold(proto, t, wait) })
		})
	})
}

func timeoutText(r *rig) {
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	p := to(proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Total: short}})
	_, body := r.do(r.client(proxy.HTTP1), r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{TimeoutText: "too slow"}), nil))
	if body != "too slow" {
		r.Errorf("%q", body)
	}
}

// timeoutAfter: the answer is cut off, on HTTP/2 the stream is reset, and nothing is added to the body.
func timeoutAfter(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	})
	atOnce([]proxy.Timeouts{{Total: 20 * short}, {Idle: 20 * short}}, func(t proxy.Timeouts) {
		p := to(proxy.Upstream{Addr: app, Timeouts: t})
		addr := r.proxy(p, proxy.Config{})
		w := r.dial(addr).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		w2 := r.dialHTTP2(addr)
		w2.request(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/")
		w.answer("GET")
		w.expect("5\r\nbegun\r\n")
		if rest, _ := io.ReadAll(w.in); len(rest) > 0 {
			r.Errorf("%q came after the timeout", rest)
		}
		if data, code := w2.reset(); data != "begun" || code == 0 {
			r.Errorf("HTTP/2: %q, then %v", data, code)
		}
		for range 2 {
			if res := take(r, "the result", p.results); res.Status != 200 || res.Reason != proxy.TimeoutTotal && res.Reason != proxy.TimeoutIdle {
				r.Errorf("%+v", res)
			}
		}
	})
}

// atOnce calls f for all of them in parallel, since they mostly wait.
func atOnce[T any](all []T, f func(T)) {
	var running sync.WaitGroup
	for _, one := range all {
		running.Go(func() { f(one) })
	}
	running.Wait()
}

// idleBoth: bytes up, or bytes down, keep an exchange alive.
func idleBoth(r *rig) {
	const bytes, every, idle = 60, short / 2, 25 * short
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == "POST" {
			n, _ := io.Copy(io.Discard, req.Body)
			if n != bytes {
				r.Errorf("%d bytes came up", n)
			}
			return
		}
		for range bytes {
			io.WriteString(w, ".")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(every)
		}
	})
	atOnce(both, func(proto proxy.Proto) {
		addr, c := r.proxy(to(proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Idle: idle}}), proxy.Config{}), r.client(proto)
		atOnce([]string{"GET", "POST"}, func(method string) {
			if method == "GET" {
				if _, body := r.do(c, r.request("GET", r.path.scheme()+"://"+addr, nil)); len(body) != bytes {
					r.Errorf("%d bytes came down", len(body))
				}
			} else if resp, _ := r.do(c, r.request("POST", r.path.scheme()+"://"+addr, &slow{n: bytes, every: every})); resp.StatusCode != 200 {
				r.Errorf("upload: %s", resp.Status)
			}
		})
	})
}

// idleHeads: the heads of answers count as activity too.
func idleHeads(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		for _, s := range []string{"HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok"} {
			time.Sleep(15 * short)
			io.WriteString(c, s)
		}
	})
	atOnce(r.path.protos(proxy.HTTP1), func(proto proxy.Proto) {
		p := to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1, Timeouts: proxy.Timeouts{Idle: 40 * short}})
		resp, body := r.do(r.client(proto), r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil))
		if resp.StatusCode != 200 || body != "ok" {
			r.Errorf("%d: %s %q", proto, resp.Status, body)
		}
	})
}

// interimUntil: the timeout comes in the middle of one of an endless series of interim answers, with a client that reads them
// and one that doesn't.
func interimUntil(r *rig) {
	hint := "HTTP/1.1 103 Early Hints\r\n" + strings.Repeat("Link: </style.css>; rel=preload; as=style\r\n", 20) + "\r\n"
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		_, err := head(in)
		for err == nil {
			_, err = io.WriteString(c, hint)
		}
	})
	for i := range 20 {
		p := to(proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Total: time.Duration(5+i%10) * time.Millisecond}})
		w := r.dial(r.proxy(p, proxy.Config{})).send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if i%2 == 0 {
			_, _ = io.Copy(io.Discard, w)
		}
		if res := take(r, "the result", p.results); res.Reason != proxy.TimeoutTotal {
			r.Errorf("%+v", res)
		}
	}
}

// slow is a body that yields one byte at a time.
type slow struct {
	n     int
	every time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	if s.n == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.every)
	s.n--
	p[0] = '.'
	return 1, nil
}

// notReading: a request for a large response, of which the client reads nothing, ends at its timeout.
func notReading(r *rig) {
	app := r.app(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, limited(1<<30)) })
	const within = 20 * short
	atOnce([]proxy.Timeouts{{Total: within, ResponseStart: time.Hour}, {Idle: within}}, func(t proxy.Timeouts) {
		want := proxy.TimeoutTotal
		if t.Idle > 0 {
			want = proxy.TimeoutIdle
		}
		p := to(proxy.Upstream{Addr: app, Timeouts: t})
		addr := r.proxy(p, proxy.Config{})
		r.dial(addr).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		r.dialHTTP2(addr).request(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/")
		for range 2 {
			if res := take(r, "the end of the exchange", p.results); res.Reason != want || res.Status != 200 {
				r.Errorf("%+v, want %v", res, want)
			}
		}
	})
}

// fromFrom: timeouts count from Upstream.From, or from the arrival.
func fromFrom(r *rig) {
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	const waited = "Waited"
	p := newScript(func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		if !req.Header.Has(waited) {
			return req.Await(proxy.Timeouts{}, func(context.Context) { // a wait that must not count
				req.Header.Set(waited, "1")
				time.Sleep(short)
			}), nil
		}
		return proxy.Forward(proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Total: short}, From: time.Now()}), a.Cause
	})
	r.do(r.client(proxy.HTTP1), r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil))
	if res := take(r, "the result", p.results); res.Total < 2*short || res.Reason != proxy.TimeoutTotal {
		r.Errorf("%+v", res)
	}
}

// stalledUpload: a client that stops in the middle of a body gets its 504.
func stalledUpload(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) })
	for _, framing := range []string{"Content-Length: 10\r\n\r\nsome", "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"} {
		p := to(proxy.Upstream{Addr: app, Timeouts: proxy.Timeouts{Idle: short}})
		w := r.dial(r.proxy(p, proxy.Config{})).send("POST / HTTP/1.1\r\nHost: x\r\n" + framing)
		if resp := w.answer("POST"); resp.StatusCode != 504 || !resp.Close {
			r.Errorf("%q: %s, close %v", framing, resp.Status, resp.Close)
		}
		w.expect(r.self(p).TimeoutText)
		if _, err := w.in.ReadByte(); err == nil {
			r.Errorf("%q: more than one answer", framing)
		}
		if res := take(r, "the result", p.results); res.Reason != proxy.TimeoutIdle {
			r.Errorf("%q: %+v", framing, res)
		}
	}
	// In the other direction the upstream doesn't read, so that the client can't send.
	deaf := r.rawApp(func(_ net.Conn, in *bufio.Reader) { _, _ = head(in); <-r.Context().Done() })
	p := to(proxy.Upstream{Addr: deaf, Timeouts: proxy.Timeouts{Idle: short}})
	resp, err := r.client(proxy.HTTP1).Do(r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), limited(1<<30)))
	if err == nil { // net/http's client may lose the answer if a reset follows
		resp.Body.Close()
	}
	if res := take(r, "the result", p.results); res.Reason != proxy.TimeoutIdle {
		r.Errorf("%+v", res)
	}
}
