package proxytest

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

var heads = []testCase{
	{"TargetsPassByteForByte", targetsPass, ""},
	{"AbsoluteFormBecomesOriginForm", absoluteForm, ""},
	{"HostsPass", hostsPass, ""},
	{"NothingIsInvented", nothingInvented, ""},
	{"HopByHopFieldsEndHere", hopByHop, ""},
	{"ConnectionOptionsAreBounded", optionsBounded, ""},
	{"Peers28ConnectionOptionsSpareTheProxysOwn", endToEnd, ownEdits},
	{"ForwardedForGrowsByThePeer", forwardedFor, ""},
	{"ForwardedForGrowsOnceForAllAttempts", forwardedOnce, severalUpstreams},
	{"ConnectIsRefused", connectRefused, ""},
	{"UpgradeToH2CIsDeclined", h2cDeclined, ""},
	{"AmbiguousFramingIsRefused", ambiguous, ""},
	{"AnswersPassAsTheyAre", answersPass, ""},
	{"InterimAnswersPass", interims, ""},
	{"F12PrivateFieldsEndHere", privateFields, ""},
	{"ConnectionsToUpstreamsAreReused", reuse, ""},
	{"F15LargeHeadsPass", largeHeads, ""},
}

// exact has targets that a URL parser would change.
var targets = []string{
	"/", "//", "//healthz", "///a", "/a|b", "//a/b?x|y", "/%2f", "/%2F", "/a//b/../c/./d", "/?", "/a?", "/a?b?c",
	"/a;b=c", "/a%20b+c", `/"quoted"<x>`, "/a\\b", "/?q={}|^`", "//h:80/x%2f", "/é", "*",
}

// targetsPass compares the targets that arrive with those that were sent, on both protocols.
func targetsPass(r *rig) {
	got := make(chan string, 1)
	app1 := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for {
			h, err := head(in)
			if err != nil {
				return
			}
			line, _, _ := strings.Cut(h, "\r\n")
			got <- strings.Split(line, " ")[1]
			io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	app2 := r.app(func(_ http.ResponseWriter, req *http.Request) { got <- req.RequestURI })
	seen := make(chan string, 1)
	through := func(app string) string {
		p := to(proxy.Upstream{Addr: app})
		p.begin = func(req *proxy.Request) { seen <- req.Target }
		return r.proxy(p, proxy.Config{})
	}
	one, two := r.dial(through(app1)), r.dialHTTP2(through(app2))
	for _, target := range targets {
		one.send("OPTIONS " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if s := take(r, "the policy", seen); s != target {
			r.Errorf("HTTP/1.1: the policy saw %q, want %q", s, target)
		}
		if s := take(r, "the request", got); s != target {
			r.Errorf("HTTP/1.1: %q became %q", target, s)
		}
		one.answer("OPTIONS")
		two.request(true, ":method", "OPTIONS", ":scheme", "http", ":authority", "x", ":path", target)
		if s := take(r, "the policy", seen); s != target {
			r.Errorf("HTTP/2: the policy saw %q, want %q", s, target)
		}
		if s := take(r, "the request", got); s != target {
			r.Errorf("HTTP/2: %q became %q", target, s)
		}
	}
}

func absoluteForm(r *rig) {
	got := make(chan string, 1)
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { got <- req.Host + " " + req.RequestURI })
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	for target, want := range map[string]string{
		"http://a.example/b//c?d": "a.example /b//c?d",
		"http://a.example":        "a.example /",
		"HTTPS://a.example?x":     "a.example /?x",
	} {
		w.send("GET " + target + " HTTP/1.1\r\nHost: other\r\n\r\n")
		if s := take(r, target, got); s != want {
			r.Errorf("%s arrived as %q, want %q", target, s, want)
		}
		w.answer("GET")
	}
	w.send("OPTIONS http://a.example HTTP/1.1\r\nHost: other\r\n\r\n")
	if s := take(r, "OPTIONS", got); s != "a.example *" {
		r.Errorf("OPTIONS of an authority alone arrived as %q", s)
	}
}

// hostsPass: the app gets the Host that the client asked for.
func hostsPass(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Host) })
	addr := r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{})
	for _, proto := range both {
		for _, want := range []string{"asked.example", "asked.example:81", "[::1]:82", "UPPER.example"} {
			req := r.request("GET", r.path.scheme()+"://"+addr, nil)
			req.Host = want
			if _, got := r.do(r.client(proto), req); got != want {
				r.Errorf("%d: Host %q, want %q", proto, got, want)
			}
		}
	}
}

// nothingInvented checks the whole head that an upstream gets for the shortest request.
func nothingInvented(r *rig) {
	got := make(chan string, 1)
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		h, _ := head(in)
		got <- h
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	w.send("GET / HTTP/1.1\r\nHost: h:1\r\n\r\n")
	lines := slices.Concat([]string{"GET / HTTP/1.1", "Host: h:1"}, r.path.Adds, []string{"X-Forwarded-For: " + r.peers(), "", ""})
	want := strings.Join(lines, "\r\n")
	if h := take(r, "the request", got); h != want {
		r.Errorf("the upstream got %q, want %q", h, want)
	}
	resp := w.answer("GET")
	resp.Header.Del("Date")
	if want := (http.Header{"Content-Length": {"2"}}); !maps.EqualFunc(resp.Header, want, slices.Equal[[]string]) {
		r.Errorf("the client got %v, want %v", resp.Header, want)
	}
}

// largeHeads: heads may be as large as the limit of the first proxy, on both protocols; the proxies behind it must also accept
// the fields that it adds.
func largeHeads(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		n := 0
		for name := range req.Header {
			if strings.HasPrefix(name, "X-Fill-") {
				n++
			}
		}
		fmt.Fprint(w, len(req.RequestURI), " ", n)
	})
	for _, proto := range []proxy.Proto{proxy.HTTP1, proxy.HTTP2} {
		addr := r.proxy(to(proxy.Upstream{Addr: app, Proto: proto}), proxy.Config{})
		client := r.client(proto)
		for _, c := range []struct{ target, fields, size int }{
			{20 << 10, 1, 1}, {1, 10, 10 << 10}, {1, 600, 1}, {proxy.DefaultMaxTarget, 1, 1}, {1, 10, 25 << 10}, {1, proxy.DefaultMaxFields - 3, 1},
		} {
			req := r.request("GET", r.path.scheme()+"://"+addr+"/"+strings.Repeat("t", c.target-1), nil)
			for i := range c.fields {
				req.Header.Set("X-Fill-"+strconv.Itoa(i), strings.Repeat("v", c.size))
			}
			resp, body := r.do(client, req)
			if want := fmt.Sprint(c.target, " ", c.fields); resp.StatusCode != 200 || body != want {
				r.Errorf("%v: %d %s, want %s", proto, resp.StatusCode, body, want)
			}
		}
	}
}

func hopByHop(r *rig) {
	got := make(chan http.Header, 1)
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		got <- req.Header
		h := w.Header()
		h.Set("Connection", "X-Mine")
		h.Set("X-Mine", "1")
		h.Set("Keep-Alive", "timeout=9")
		h.Set("Proxy-Connection", "x")
		h.Set("Proxy-Authenticate", "Basic")
		h.Set("X-Other", "2")
	})
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: x-one , keep-alive\r\nConnection: X-TWO,,\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n" +
		"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip, trailers\r\nProxy-Authorization: Basic eA==\r\n\r\n")
	h := take(r, "the request", got)
	for _, name := range []string{"X-One", "X-Two", "Keep-Alive", "Proxy-Connection"} {
		if v, ok := h[name]; ok {
			r.Errorf("%s: %q reached the upstream", name, v)
		}
	}
	for name, want := range map[string]string{"X-Three": "3", "Te": "trailers", "Proxy-Authorization": "Basic eA=="} {
		if h.Get(name) != want {
			r.Errorf("%s: %q at the upstream, want %q", name, h.Get(name), want)
		}
	}
	resp := w.answer("GET")
	for _, name := range []string{"X-Mine", "Keep-Alive", "Proxy-Connection"} {
		if v, ok := resp.Header[name]; ok {
			r.Errorf("%s: %q reached the client", name, v)
		}
	}
	if resp.Header.Get("X-Other") != "2" || resp.Header.Get("Proxy-Authenticate") != "Basic" {
		r.Errorf("end-to-end fields are missing: %v", resp.Header)
	}
}

// optionsBounded: a request or a response, including interim ones, with too many options in Connection is rejected.
func optionsBounded(r *rig) {
	many := "Connection: " + strings.Repeat("x,", 101) + "\r\n"
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for {
			h, err := head(in)
			switch {
			case err != nil:
				return
			case strings.Contains(h, "/interim"):
				io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n"+many+"\r\n")
			case strings.Contains(h, "/final"):
				io.WriteString(c, "HTTP/1.1 200 OK\r\n"+many+"Content-Length: 2\r\n\r\nok")
			default:
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}
	})
	addr := r.proxy(to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1}), proxy.Config{})
	for _, test := range []struct {
		target, fields string
		status         int
	}{{"/", "", 200}, {"/", many, 400}, {"/final", "", 502}, {"/interim", "", 502}} {
		resp := r.dial(addr).send("GET " + test.target + " HTTP/1.1\r\nHost: x\r\n" + test.fields + "\r\n").answer("GET")
		if resp.StatusCode != test.status {
			r.Errorf("%s, %d bytes of Connection: %s", test.target, len(test.fields), resp.Status)
		}
	}
}

// endToEnd: fields that the policy sets, or that the configuration protects, survive a hostile Connection.
func endToEnd(r *rig) {
	got := make(chan http.Header, 1)
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { got <- req.Header })
	p := newScript(func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		if req.Header.Has("X-Victim") {
			r.Error("the policy saw a hop-by-hop field")
		}
		req.Header.Set("K-Proxy-Request", "activator")
		return proxy.Forward(proxy.Upstream{Addr: app}), a.Cause
	})
	w := r.dial(r.proxy(p, proxy.Config{EndToEnd: []string{"knative-serving-revision"}}))
	w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: K-Proxy-Request, Knative-Serving-Revision, X-Victim, X-Forwarded-For\r\n" +
		"Knative-Serving-Revision: rev\r\nX-Victim: 1\r\n\r\n")
	h := take(r, "the request", got)
	for name, want := range map[string]string{"K-Proxy-Request": "activator", "Knative-Serving-Revision": "rev", "X-Victim": "", "X-Forwarded-For": "127.0.0.1"} {
		if h.Get(name) != want {
			r.Errorf("%s: %q at the upstream, want %q", name, h.Get(name), want)
		}
	}
}

// peers is the part of X-Forwarded-For that the path adds.
func (r *rig) peers() string {
	return strings.TrimPrefix(strings.Repeat(", 127.0.0.1", r.path.Proxies), ", ")
}

func forwardedFor(r *rig) {
	for _, proto := range both {
		forwarded(r, proto, to, r.peers())
	}
}

// forwardedOnce: X-Forwarded-For grows once, also if the first upstream could not be reached.
func forwardedOnce(r *rig) {
	for _, proto := range both {
		forwarded(r, proto, func(upstream proxy.Upstream) *script { return upstreams(deadAddr, upstream.Addr) }, r.peers())
	}
}

func forwarded(r *rig, proto proxy.Proto, through func(proxy.Upstream) *script, peers string) {
	got := make(chan http.Header, 1)
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { got <- req.Header })
	req := r.request("GET", r.path.scheme()+"://"+r.proxy(through(proxy.Upstream{Addr: app}), proxy.Config{}), nil)
	req.Header["X-Forwarded-For"] = []string{"192.0.2.1, 192.0.2.2", "192.0.2.3"}
	req.Header.Set("X-Forwarded-Proto", "https")
	r.do(r.client(proto), req)
	h := take(r, "the request", got)
	if v, want := h["X-Forwarded-For"], "192.0.2.1, 192.0.2.2, 192.0.2.3, "+peers; !slices.Equal(v, []string{want}) {
		r.Errorf("X-Forwarded-For: %q, want %q", v, want)
	}
	if h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Host") != "" {
		r.Errorf("X-Forwarded-Proto %q, -Host %q", h.Get("X-Forwarded-Proto"), h.Get("X-Forwarded-Host"))
	}
}

func connectRefused(r *rig) {
	app := r.app(func(http.ResponseWriter, *http.Request) { r.Error("the app was asked") })
	p := to(proxy.Upstream{Addr: app})
	p.front, p.begin = true, func(*proxy.Request) { r.Error("the policy was asked") }
	addr := r.proxy(p, proxy.Config{})
	resp := r.dial(addr).send("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n").answer("CONNECT")
	if s := resp.Header.Get("Proxy-Status"); resp.StatusCode != http.StatusNotImplemented || !strings.HasPrefix(s, r.path.Front.Name+";") {
		r.Errorf("CONNECT: %s, Proxy-Status %q", resp.Status, s)
	}
}

// h2cDeclined: a request to upgrade to h2c is served as HTTP/1.1, and the upstream gets no Upgrade.
func h2cDeclined(r *rig) {
	got := make(chan http.Header, 1)
	app := r.app(func(w http.ResponseWriter, req *http.Request) { got <- req.Header; io.WriteString(w, "one") })
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
	h := take(r, "the request", got)
	for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
		if v, ok := h[name]; ok {
			r.Errorf("%s: %q reached the upstream", name, v)
		}
	}
	if resp := w.answer("GET"); resp.StatusCode != http.StatusOK {
		r.Errorf("answered %s", resp.Status)
	}
}

// ambiguous: no ambiguous request, whether net/http itself accepts or rejects it, becomes two requests.
func ambiguous(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		if req.RequestURI != "/first" {
			r.Errorf("%s reached the app", req.RequestURI)
		}
		io.Copy(io.Discard, req.Body)
	})
	addr := r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{})
	const second = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, h := range []string{
		"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
		"POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"POST /first HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
		"POST /first HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\n",
		"POST /first HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET first HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET mailto:first HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		w := r.dial(addr).send(h + second)
		if resp := w.answer("POST"); resp.StatusCode < 400 {
			r.Errorf("%q: %s", h, resp.Status)
		}
	}
	two := r.dialHTTP2(addr)
	two.request(true, ":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/bad", "content-length", "1", "content-length", "2")
	two.refused()
	two.request(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/bad", "host", "y")
	two.refused()
	two.request(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "http://x/bad")
	two.refused()
}
