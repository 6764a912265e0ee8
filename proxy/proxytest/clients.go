package proxytest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy"
)

var clients = []testCase{
	{"Peers1VanishWhileParked", vanishParked, ""},
	{"VanishBeforeTheAnswer", vanishBefore, ""},
	{"VanishDuringTheAnswer", vanishDuring, ""},
	{"VanishDuringTheUpload", vanishUpload, ""},
	{"AMalformedBody", malformedBody, ""},
	{"ParkedAndServed", parkedServed, ""},
	{"Pipelined", pipelined, ""},
	{"AnsweredWhileItSends", answeredWhileSending, ""},
	{"RefusedWhileItSends", refusedWhileSending, ownAnswers},
	{"F13AnEarlyAnswerIsNotLost", earlyAnswers, ""},
	{"F6VanishDuringAnInterimAnswer", vanishInterim, ""},
	{"F2AnEndInTheMiddleOfAHead", endsInAHead, ""},
}

// vanishParked: when the client of a waiting request disconnects, the wait ends at once, even with unread bytes, and no
// upstream is dialled.
func vanishParked(r *rig) {
	for _, wait := range r.waits() {
		vanishWaiting(r, wait)
	}
}

func vanishWaiting(r *rig, wait wait) {
	big := strings.Repeat("x", 200_000)
	addr, p := r.parking(proxy.Timeouts{Total: time.Hour}, wait)
	for _, c := range []struct{ name, request string }{
		{"no body", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a body in full", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"},
		{"a body in part", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody"},
		{"a body of some size", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + big[:20_000]},
		{"a large body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + big},
		{"chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"},
		{"a body held back", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"},
	} {
		for _, reset := range []bool{false, true} {
			if len(c.request) > 100_000 && !reset {
				continue // its FIN would come after bytes that don't fit the receive buffer
			}
			w := r.dial(addr).send(c.request)
			take(r, "the request", p.entered)
			w.vanish(reset)
			if res := take(r, c.name+": the end of the wait", p.results); res.Reason != proxy.ClientGone || res.Status != proxy.StatusClientClosedRequest || res.Attempts != 0 {
				r.Errorf("%s: %+v", c.name, res)
			}
		}
	}
	// A pipelined request behind the one that waits also hides the end of the connection.
	w := r.dial(addr).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	take(r, "the request", p.entered)
	w.send("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n").Close()
	if res := take(r, "pipelined: the end of the wait", p.results); res.Reason != proxy.ClientGone {
		r.Errorf("pipelined: %+v", res)
	}
	for _, body := range []string{"", "body", big[:60_000]} {
		vanish := func(w *wire2, how func(id uint32)) {
			id := w.request(body == "", ":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/")
			for b := body; b != ""; b = b[min(len(b), 16384):] {
				w.data(id, false, b[:min(len(b), 16384)])
			}
			take(r, "the request", p.entered)
			how(id)
			if res := take(r, "the end of the wait", p.results); res.Reason != proxy.ClientGone || res.Status != proxy.StatusClientClosedRequest {
				r.Errorf("HTTP/2: %+v", res)
			}
		}
		w := r.dialHTTP2(addr)
		vanish(w, func(id uint32) { _ = w.fr.WriteRSTStream(id, http2.ErrCodeCancel) })
		w = r.dialHTTP2(addr)
		vanish(w, func(uint32) { w.c.Close() })
	}
}

// vanishBefore: the upstream's request is cancelled at once when the client disconnects before there is an answer.
func vanishBefore(r *rig) {
	for _, proto := range both {
		got, gone := make(chan bool, 1), make(chan error, 1)
		app := r.app(func(_ http.ResponseWriter, req *http.Request) {
			io.Copy(io.Discard, req.Body)
			got <- true
			<-req.Context().Done()
			gone <- req.Context().Err()
		})
		for _, body := range []string{"", "body"} {
			p := to(proxy.Upstream{Addr: app})
			ctx, cancel := context.WithCancel(r.Context())
			req := r.request("POST", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), strings.NewReader(body)).WithContext(ctx)
			done := make(chan error, 1)
			go func() {
				_, err := r.client(proto).Do(req)
				done <- err
			}()
			take(r, "the request", got)
			cancel()
			take(r, "the client's error", done)
			take(r, "the upstream's cancellation", gone)
			if res := take(r, "the result", p.results); res.Reason != proxy.ClientGone || res.Status != proxy.StatusClientClosedRequest {
				r.Errorf("%d: %+v", proto, res)
			}
			if out := take(r, "the outcome", p.outcomes); out.Reason != proxy.ClientGone {
				r.Errorf("%d: %+v", proto, out)
			}
		}
	}
}

func vanishDuring(r *rig) {
	for _, proto := range both {
		gone := make(chan error, 1)
		app := r.app(func(w http.ResponseWriter, req *http.Request) {
			io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
			gone <- req.Context().Err()
		})
		p := to(proxy.Upstream{Addr: app})
		ctx, cancel := context.WithCancel(r.Context())
		resp, err := r.client(proto).Do(r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil).WithContext(ctx))
		if err != nil {
			r.Fatal(err)
		}
		cancel()
		resp.Body.Close()
		take(r, "the upstream's cancellation", gone)
		if res := take(r, "the result", p.results); res.Reason != proxy.ClientGone || res.Status != 200 {
			r.Errorf("%d: %+v", proto, res)
		}
	}
}

// vanishUpload: the client disconnects in the middle of a body, with an upstream that reads and one that does not.
func vanishUpload(r *rig) {
	for _, reads := range []bool{true, false} {
		got, gone, release := make(chan bool, 1), make(chan bool, 1), make(chan bool)
		app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
			_, _ = head(in)
			got <- true
			if reads {
				io.Copy(io.Discard, in)
			} else {
				<-release
			}
			gone <- true
		})
		p := to(proxy.Upstream{Addr: app})
		w := r.dial(r.proxy(p, proxy.Config{}))
		w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + big(reads))
		take(r, "the request", got)
		w.Close()
		if res := take(r, "the result", p.results); res.Reason != proxy.ClientGone {
			r.Errorf("upstream reads %v: %+v", reads, res)
		}
		close(release)
		take(r, "the end at the upstream", gone)
	}
}

// big is how much of its body a client sends before it disconnects. With an upstream that doesn't read, the proxy is then
// blocked in a write, and yet the client's FIN arrives.
func big(reads bool) string {
	if reads {
		return "some"
	}
	return strings.Repeat("x", 50_000)
}

// malformedBody: wrong framing is answered and reported as the client's error.
func malformedBody(r *rig) {
	app := r.app(func(_ http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) })
	p := to(proxy.Upstream{Addr: app})
	p.front = true
	w := r.dial(r.proxy(p, proxy.Config{})).send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody\r\n0\r\n\r\n")
	if resp := w.answer("POST"); resp.StatusCode != http.StatusBadRequest || !resp.Close {
		r.Errorf("%s, close %v", resp.Status, resp.Close)
	}
	if res := take(r, "the result", p.results); res.Reason != proxy.BadRequest {
		r.Errorf("%+v", res)
	}
}

// parkedServed: a wait, watched or not, has no effect on the connection. In a product the request waits for the only slot.
func parkedServed(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.Copy(w, req.Body) })
	const waited = "Waited"
	p := newScript(func(req *proxy.Request, a proxy.Attempt) (proxy.Decision, error) {
		if !req.Header.Has(waited) {
			return req.Await(proxy.Timeouts{Total: time.Hour}, func(context.Context) {
				req.Header.Set(waited, "1")
				time.Sleep(time.Millisecond)
			}), nil
		}
		return proxy.Forward(proxy.Upstream{Addr: app}), a.Cause
	})
	p.upstream, p.limit = &proxy.Upstream{Addr: app}, 1
	addr := r.proxy(p, proxy.Config{})
	atOnce([]proxy.Proto{proxy.HTTP1, proxy.HTTP2, proxy.HTTP1, proxy.HTTP1}, func(proto proxy.Proto) {
		c := r.client(proto)
		for range 30 {
			if _, body := r.do(c, r.request("POST", r.path.scheme()+"://"+addr, strings.NewReader("body"))); body != "body" {
				r.Errorf("%q", body)
			}
		}
	})
}

// pipelined requests are answered in order.
func pipelined(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.RequestURI) })
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	w.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET /3 HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, want := range []string{"/1", "/2", "/3"} {
		w.answer("GET")
		w.expect(want)
	}
}

// answeredWhileSending: a client that sends everything before it reads gets an answer that came earlier, at once, and without
// a reset that would lose it.
func answeredWhileSending(r *rig) {
	app := r.app(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // or net/http would wait for the body
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	whileSending(r, to(proxy.Upstream{Addr: app}), http.StatusRequestEntityTooLarge)
}

// refusedWhileSending: the same for the policy's own answers.
func refusedWhileSending(r *rig) {
	answers := map[int]*script{
		http.StatusServiceUnavailable: newScript(func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			return proxy.Decision{}, &proxy.Error{Reason: proxy.QueueFull, Text: "full\n"}
		}),
		http.StatusNotFound: newScript(func(*proxy.Request, proxy.Attempt) (proxy.Decision, error) {
			return proxy.Answer(&proxy.Local{Status: http.StatusNotFound, Body: "none\n"}), nil
		}),
	}
	atOnce(slices.Collect(maps.Keys(answers)), func(want int) { whileSending(r, answers[want], want) })
}

func whileSending(r *rig, p *script, want int) {
	w := r.dial(r.proxy(p, proxy.Config{})).send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
	for i := range 10 { // slightly longer than the half second between net/http's FIN and its close
		if i == 2 {
			take(r, "the result, before more is sent", p.results)
		}
		w.send(strings.Repeat("x", 10_000))
		time.Sleep(60 * time.Millisecond)
	}
	if resp := w.answer("POST"); resp.StatusCode != want || !resp.Close {
		r.Errorf("%s, close %v, want %d", resp.Status, resp.Close, want)
	}
}

// endsInAHead: a connection that ends in the middle of a head is closed at once; a head that takes too long would be answered
// with 408.
func endsInAHead(r *rig) {
	app := r.app(func(http.ResponseWriter, *http.Request) {})
	addr := r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{})
	const ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for i := range 40 {
		w := r.dial(addr).send(ask)
		w.answer("GET")
		before := []string{"", ask}[i%2] // a client that has closed its half may miss the answer
		w.send(before + "GET / HTTP/1.1\r\nHo")
		_ = w.CloseWrite()
		if b, err := io.ReadAll(w.in); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(b), " 408 ") {
			r.Fatalf("connection %d, after its end: %q, %v", i, b, err)
		}
	}
}

// vanishInterim: a client that disconnects while the app sends one 103 after the other has gone before the answer.
func vanishInterim(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		for req.Context().Err() == nil {
			w.WriteHeader(http.StatusEarlyHints)
			time.Sleep(time.Millisecond)
		}
	})
	for i := range 20 {
		p := to(proxy.Upstream{Addr: app})
		p.front = i%2 == 0
		addr := r.proxy(p, proxy.Config{})
		if proto := both[i%3%2]; i%3 < 2 {
			ctx, cancel := context.WithCancel(r.Context())
			trace := httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { cancel(); return nil }}
			req := r.request("GET", r.path.scheme()+"://"+addr, nil)
			if _, err := r.client(proto).Do(req.WithContext(httptrace.WithClientTrace(ctx, &trace))); err == nil {
				r.Error("an answer came")
			}
			cancel()
		} else {
			w := r.dial(addr).send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			w.answer("GET")
			w.vanish(true)
		}
		if res := take(r, "the result", p.results); res.Reason != proxy.ClientGone || res.Status != proxy.StatusClientClosedRequest {
			r.Errorf("%d: %+v", i, res)
		}
	}
}

// earlyAnswers: an app answers before it has read 50 MB of body, and reads the rest or closes at once. Every client gets the
// answer, even one that sends everything before it reads.
func earlyAnswers(r *rig) {
	if r.path.NetHTTP {
		r.Log("net/http's own server resets a connection whose client sends on")
		return
	}
	for _, closes := range []bool{false, true} {
		app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
			_, _ = head(in)
			io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\nWWW-Authenticate: Basic\r\n\r\nwho???")
			if !closes {
				io.Copy(io.Discard, in)
			}
		})
		addr := r.proxy(to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1}), proxy.Config{})
		for _, size := range []int64{50_000_000, -1} {
			c := r.client(proxy.HTTP1)
			for i := range 20 {
				req := r.request("POST", r.path.scheme()+"://"+addr, io.LimitReader(zeros{}, 50_000_000))
				req.ContentLength = size
				resp, err := c.Do(req)
				if err != nil {
					r.Errorf("the app closes: %v, size %d, request %d: %v", closes, size, i, err)
					continue
				}
				if body, err := io.ReadAll(resp.Body); resp.StatusCode != 401 || string(body) != "who???" || err != nil {
					r.Errorf("the app closes: %v, size %d, request %d: %s, %q, %v", closes, size, i, resp.Status, body, err)
				}
				resp.Body.Close()
			}
			sendsAllFirst(r, addr, size)
		}
	}
}

// sendsAllFirst posts a body of 20 MB, with its size or in chunks, and then reads the answer.
func sendsAllFirst(r *rig, addr string, size int64) {
	piece := strings.Repeat("0123456789abcdef", 1<<12) // 64 KiB
	for range 3 {
		w := r.dial(addr)
		if size > 0 {
			w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n\r\n")
			for range 305 {
				w.send(piece)
			}
			w.send(piece[:20_000_000-305*len(piece)])
		} else {
			w.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range 305 {
				w.send("10000\r\n" + piece + "\r\n")
			}
			w.send("0\r\n\r\n")
		}
		if resp := w.answer("POST"); resp.StatusCode != 401 || !resp.Close {
			r.Errorf("%s, close %v", resp.Status, resp.Close)
		}
		w.expect("who???")
		w.Close()
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
