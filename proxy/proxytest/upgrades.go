package proxytest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-proxy/sluice/proxy"
)

var upgrades = []testCase{
	{"Websocket", websockets, ""},
	{"AWebsocketEndsWithItsApp", endsWithApp, ""},
	{"AnUpgradeThatTheUpstreamDeclines", declined, ""},
	{"HalfClosePassesBothWays", halfClose, ""},
	{"A101ThatWasNotAskedFor", unasked, ""},
	{"AnUpgradedClientThatVanishes", upgradedVanishes, ""},
	{"Peers7TrafficIsActivity", traffic, ""},
	{"Peers7TotalCutsAnUpgradedConnection", upgradedTotal, ""},
	{"C18TheFirstByteAfterA101IsTheStart", upgradedStart, ""},
}

// websockets: small and large messages pass between a library's client and server.
func websockets(r *rig) {
	app := r.app(echoWebsocket)
	p := to(proxy.Upstream{Addr: app})
	ctx := r.Context()
	c, _, err := websocket.Dial(ctx, r.path.scheme()+"://"+r.proxy(p, proxy.Config{})+"/echo", &websocket.DialOptions{HTTPClient: r.client(proxy.HTTP1)})
	if err != nil {
		r.Fatal(err)
	}
	c.SetReadLimit(-1)
	for _, size := range []int{0, 1, 4096, 100_000, 2_000_000, 3} {
		sent := bytes.Repeat([]byte("w"), size)
		if err := c.Write(ctx, websocket.MessageBinary, sent); err != nil {
			r.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, sent) {
			r.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		r.Errorf("close: %v", err)
	}
	if res := take(r, "the result", p.results); res.Status != 101 || res.Reason != proxy.ReasonNone || res.BytesIn < 2_000_000 || res.BytesOut < 2_000_000 {
		r.Errorf("%+v", res)
	}
}

// endsWithApp: a websocket ends when the app closes its connection, although the client leaves its half open.
func endsWithApp(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		io.WriteString(c, strings.ReplaceAll(switching, "echo", "WebSocket")+"bye")
	})
	p := to(proxy.Upstream{Addr: app})
	w := r.dial(r.proxy(p, proxy.Config{}))
	w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	w.answer("GET")
	if b, err := io.ReadAll(w.in); string(b) != "bye" || err != nil {
		r.Errorf("read %q, %v", b, err)
	}
	if res := take(r, "the result, of a client that is still there", p.results); res.Status != 101 || res.Reason != proxy.ReasonNone {
		r.Errorf("%+v", res)
	}
}

func echoWebsocket(w http.ResponseWriter, req *http.Request) {
	c, err := websocket.Accept(w, req, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		kind, b, err := c.Read(req.Context())
		if err != nil || c.Write(req.Context(), kind, b) != nil {
			return
		}
	}
}

func declined(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") != "echo/1" || !strings.EqualFold(req.Header.Get("Connection"), "upgrade") {
			r.Errorf("the upstream got Upgrade %q, Connection %q", req.Header.Get("Upgrade"), req.Header.Get("Connection"))
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "no")
	})
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	for range 2 { // the connection can be used again
		w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n")
		if resp := w.answer("GET"); resp.StatusCode != http.StatusForbidden {
			r.Errorf("%s", resp.Status)
		}
		w.expect("no")
	}
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Upstream: 1\r\n\r\n"

// upgraded makes an upgraded connection through p to an app that sends hello at once and then calls f.
func (r *rig) upgraded(p *script, f func(c *net.TCPConn, in *bufio.Reader)) *wire {
	w := r.switched(p, "hello", f)
	w.expect("hello")
	return w
}

// switched is upgraded for an app that sends these first bytes.
func (r *rig) switched(p *script, word string, f func(c *net.TCPConn, in *bufio.Reader)) *wire {
	p.upstream.Addr = r.rawApp(func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		io.WriteString(c, switching+word)
		f(c.(*net.TCPConn), in)
	})
	w := r.dial(r.proxy(p, proxy.Config{}))
	w.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst")
	if resp := w.answer("GET"); resp.StatusCode != 101 || resp.Header.Get("X-Upstream") != "1" || resp.Header.Get("Upgrade") != "echo" {
		r.Fatalf("%s %v", resp.Status, resp.Header)
	}
	return w
}

func halfClose(r *rig) {
	p := to(proxy.Upstream{})
	w := r.upgraded(p, func(c *net.TCPConn, in *bufio.Reader) {
		b, _ := io.ReadAll(in) // ends with the client's half
		_, _ = c.Write(append(b, " and goodbye"...))
	})
	w.send(" second")
	_ = w.CloseWrite()
	if b, err := io.ReadAll(w.in); string(b) != "first second and goodbye" || err != nil {
		r.Errorf("read %q, %v", b, err)
	}
	if res := take(r, "the result", p.results); res.Reason != proxy.ReasonNone || res.BytesIn != 12 || res.BytesOut != 29 {
		r.Errorf("%+v", res)
	}
	sent := make(chan string, 1)
	p = to(proxy.Upstream{})
	w = r.upgraded(p, func(c *net.TCPConn, in *bufio.Reader) {
		_ = c.CloseWrite()
		b, _ := io.ReadAll(in)
		sent <- string(b)
	})
	if _, err := w.in.Peek(1); err != io.EOF {
		r.Errorf("the upstream's half did not end: %v", err)
	}
	w.send(" third")
	w.Close()
	if s := take(r, "the client's half", sent); s != "first third" {
		r.Errorf("the upstream read %q", s)
	}
	take(r, "the result", p.results)
}

func unasked(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		io.WriteString(c, switching)
		io.Copy(io.Discard, in)
	})
	p := to(proxy.Upstream{Addr: app})
	resp, _ := r.do(r.client(proxy.HTTP1), r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil))
	if res := take(r, "the result", p.results); resp.StatusCode != http.StatusBadGateway || res.Reason != proxy.BadResponse {
		r.Errorf("%s, %+v", resp.Status, res)
	}
}

func upgradedVanishes(r *rig) {
	ended := make(chan error, 1)
	p := to(proxy.Upstream{})
	p.front = true // the proxies behind it see the end and not its reason
	w := r.upgraded(p, func(c *net.TCPConn, in *bufio.Reader) {
		_, err := io.Copy(io.Discard, in)
		ended <- err
	})
	w.vanish(true)
	take(r, "the end at the upstream", ended)
	if res := take(r, "the result", p.results); res.Reason != proxy.ClientGone || res.Status != 101 {
		r.Errorf("%+v", res)
	}
}

// traffic: response start and idle timeouts don't cut off an upgraded connection while bytes go in one direction; the idle
// timeout ends a silent one.
func traffic(r *rig) {
	const idle = 25 * short
	timeouts := proxy.Timeouts{ResponseStart: idle, Idle: idle}
	p := to(proxy.Upstream{Timeouts: timeouts})
	w := r.upgraded(p, func(c *net.TCPConn, in *bufio.Reader) {
		io.Copy(io.Discard, in)
	})
	var last time.Time
	for begin := time.Now(); time.Since(begin) < 3*idle/2; time.Sleep(idle / 20) {
		last = time.Now()
		w.send(".") // up only
	}
	_, err := io.ReadAll(w.in)
	if d := time.Since(last); d < idle || d > patience/2 {
		r.Errorf("cut after %v of silence, %v", d, err)
	}
	if res := take(r, "the result", p.results); res.Reason != proxy.TimeoutIdle || res.Total < 3*idle/2 {
		r.Errorf("%+v", res)
	}
}

func upgradedTotal(r *rig) {
	const total = 10 * short
	p := to(proxy.Upstream{Timeouts: proxy.Timeouts{Total: total}})
	w := r.upgraded(p, func(c *net.TCPConn, in *bufio.Reader) {
		for {
			if _, err := c.Write([]byte(".")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	begin := time.Now()
	_, _ = io.Copy(io.Discard, w.in)
	if d := time.Since(begin); d > patience/2 {
		r.Errorf("lived for %v", d)
	}
	if res := take(r, "the result", p.results); res.Reason != proxy.TimeoutTotal || res.Total < total {
		r.Errorf("%+v", res)
	}
}

// upgradedStart: an upgraded connection on which the app sends nothing is cut off at the response start timeout, whatever the
// client sends. Once the app has sent something the timeout has no effect, on small messages or on bulk data.
func upgradedStart(r *rig) {
	const start, bulk = 10 * short, 4 << 20
	silent := to(proxy.Upstream{Timeouts: proxy.Timeouts{ResponseStart: start}})
	speaks := to(proxy.Upstream{Timeouts: proxy.Timeouts{ResponseStart: start}})
	atOnce([]func(){
		func() {
			w := r.switched(silent, "", func(_ *net.TCPConn, in *bufio.Reader) { io.Copy(io.Discard, in) })
			w.send(" more of the client's")
			_, _ = io.Copy(io.Discard, w.in)
			if res := take(r, "the result", silent.results); res.Reason != proxy.TimeoutStart || res.Status != 101 || res.Total < start {
				r.Errorf("a silent app: %+v", res)
			}
		},
		func() {
			w := r.switched(speaks, "", func(c *net.TCPConn, in *bufio.Reader) {
				_, _ = io.WriteString(c, "late")
				time.Sleep(3 * start / 2)
				_, _ = io.CopyN(c, limited(bulk), bulk)
				_, _ = io.Copy(io.Discard, in)
			})
			if n, err := io.CopyN(io.Discard, w.in, int64(len("late"))+bulk); err != nil {
				r.Errorf("cut after %d bytes: %v", n, err)
			}
			w.Close()
			if res := take(r, "the result", speaks.results); res.Reason == proxy.TimeoutStart {
				r.Errorf("an app that spoke: %+v", res)
			}
		},
	}, func(f func()) { f() })
}
