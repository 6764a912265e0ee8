package proxytest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-proxy/sluice/proxy"
)

var bodies = []testCase{
	{"AChunkIsFlushedAtOnce", flushed, ""},
	{"HeadsDoNotWaitForBodies", headFirst, ""},
	{"TrailersPass", trailersPass, ""},
	{"F1TrailersThatMayNotCome", trailersEnd, ""},
	{"F1TrailersOfRequestsThatMayNotCome", trailersUp, ""},
	{"FieldsOfTheProtocolAreNoTrailers", trailersOfTheProtocol, ""},
	{"AnHTTP2BodyThatIsMissing", missingBody, ""},
	{"ContinueIsTheUpstreams", continued, ""},
	{"ContinueIsOursWhereTheUpstreamIsNotAsked", invited, ownEdits},
	{"EarlyFinalAnswersPass", earlyFinal, ""},
	{"F13EarlyAnswersOverHTTP2", earlyOverHTTP2, ""},
	{"Peers21FullDuplex", fullDuplex, ""},
	{"BodiesAreCounted", counted, ""},
	{"ATruncatedAnswerIsCut", truncated, ""},
	{"ABodyWithoutLengthEndsWithTheConnection", untilClose, ""},
	{"OneConnectionManyBodies", sequence, ""},
	{"LargeUploadsLeaveTheConnection", uploads, ""},
	{"F4ADialThatWrapsTheSocket", wrappedSocket, ownDial},
}

// memory are the cases that measure the heap.
var memory = []testCase{
	{"LargeBodiesInFlatMemory", flatMemory, ""},
}

// flushed: each chunk of an answer arrives while the app waits before the next.
func flushed(r *rig) {
	for _, proto := range both {
		step := make(chan bool)
		app := r.app(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 5 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = http.NewResponseController(w).Flush()
				<-step
			}
		})
		resp, err := r.client(proto).Do(r.request("GET", r.path.scheme()+"://"+r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}), nil))
		if err != nil {
			r.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		for i := range 5 {
			line, err := in.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); line != want || err != nil {
				r.Fatalf("read %q, %v; want %q", line, err, want)
			}
			_, _ = in.ReadString('\n')
			step <- true
		}
		resp.Body.Close()
	}
}

// headFirst: a response's head arrives before the app has made the body.
func headFirst(r *rig) {
	for _, proto := range both {
		step := make(chan bool)
		app := r.app(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Length", "2")
			_ = http.NewResponseController(w).Flush()
			<-step
			io.WriteString(w, "ok")
		})
		resp, err := r.client(proto).Do(r.request("GET", r.path.scheme()+"://"+r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}), nil))
		if err != nil {
			r.Fatal(err)
		}
		step <- true
		if b, err := io.ReadAll(resp.Body); string(b) != "ok" || err != nil {
			r.Errorf("body %q, %v", b, err)
		}
		resp.Body.Close()
	}
}

// trailersPass: trailers pass in both directions, announced and not. net/http's HTTP/2 server drops those of requests that
// were not announced.
func trailersPass(r *rig) {
	for _, way := range []struct{ proto, upstream proxy.Proto }{{proxy.HTTP1, proxy.SameProto}, {proxy.HTTP2, proxy.SameProto}, {proxy.HTTP2, proxy.HTTP1}} {
		proto := way.proto
		up := make(chan http.Header, 1)
		app := r.app(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Trailer", "X-Announced")
			io.Copy(w, req.Body)
			up <- req.Trailer
			w.Header().Set("X-Announced", "1")
			w.Header().Set(http.TrailerPrefix+"X-Other", "2")
		})
		addr := r.proxy(to(proxy.Upstream{Addr: app, Proto: way.upstream}), proxy.Config{})
		req := r.request("POST", r.path.scheme()+"://"+addr, io.MultiReader(strings.NewReader("body")))
		req.Trailer = http.Header{"X-Up": {"3"}}
		resp, body := r.do(r.client(proto), req)
		if body != "body" || resp.Trailer.Get("X-Announced") != "1" || resp.Trailer.Get("X-Other") != "2" {
			r.Errorf("%d: body %q, trailers %v", proto, body, resp.Trailer)
		}
		if h := take(r, "the request's trailers", up); h.Get("X-Up") != "3" {
			r.Errorf("%d: the upstream got trailers %v", proto, h)
		}
		if proto == proxy.HTTP1 {
			w := r.dial(addr).send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sudden: 4\r\n\r\n")
			if h := take(r, "the request's trailers", up); h.Get("X-Sudden") != "4" {
				r.Errorf("trailers that were not announced: %v", h)
			}
			w.answer("POST")
		}
	}
}

// continued: the client gets its 100 when the upstream has sent one, not before, and sends the body then.
func continued(r *rig) {
	asked, allow := make(chan string, 1), make(chan bool)
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		h, _ := head(in)
		asked <- h
		<-allow
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		b := make([]byte, 4)
		io.ReadFull(in, b)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", b)
	})
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{ExpectTimeout: patience}))
	w.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	if h := take(r, "the request", asked); !strings.Contains(h, "Expect: 100-continue\r\n") {
		r.Errorf("the upstream was not asked: %q", h)
	}
	_ = w.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // only a wait shows that nothing comes
	if b, err := w.in.Peek(1); err == nil {
		r.Errorf("%q came before the upstream's 100", b)
	}
	_ = w.SetReadDeadline(time.Now().Add(patience))
	allow <- true
	w.expect("HTTP/1.1 100 Continue\r\n\r\n")
	w.send("body")
	w.answer("POST")
	w.expect("body")
}

// invited: if the policy removes Expect, the client gets a 100 at once.
func invited(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) })
	p := newScript(func(req *proxy.Request, _ proxy.Attempt) (proxy.Decision, error) {
		req.Header.Del("Expect")
		return proxy.Forward(proxy.Upstream{Addr: app}), nil
	})
	w := r.dial(r.proxy(p, proxy.Config{ExpectTimeout: 2 * patience}))
	w.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	w.expect("HTTP/1.1 100 Continue\r\n\r\n")
	w.send("body")
	w.answer("POST")
	w.expect("body")
}

// earlyFinal: an answer that comes before the body has been sent reaches the client, whether the body is held back or stalled.
func earlyFinal(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		io.Copy(io.Discard, in)
	})
	addr := r.proxy(to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1}), proxy.Config{ExpectTimeout: patience})
	for _, h := range []string{
		"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
		"Content-Length: 1000000\r\n\r\nsome",
		"Content-Length: 10\r\n\r\nsome",
		"Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
	} {
		w := r.dial(addr).send("POST / HTTP/1.1\r\nHost: x\r\n" + h)
		if resp := w.answer("POST"); resp.StatusCode != 413 {
			r.Errorf("%q: %s", h, resp.Status)
		}
		w.expect("big")
		if _, err := w.in.Peek(1); err != io.EOF && !strings.Contains(err.Error(), "reset") {
			r.Errorf("%q: the connection stays open: %v", h, err)
		}
	}
	if !r.path.reaches(proxy.HTTP1, proxy.HTTP2) {
		return
	}
	w := r.dialHTTP2(addr)
	w.request(false, ":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/")
	if f := w.head(); f.PseudoValue("status") != "413" {
		r.Errorf("HTTP/2: %s", f.PseudoValue("status"))
	}
}

// fullDuplex: an app may answer while it reads, and a client that sends 1 MiB before it reads anything gets the bytes back.
func fullDuplex(r *rig) {
	app := r.app(func(w http.ResponseWriter, req *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		w.WriteHeader(200)
		_ = rc.Flush()
		buf := make([]byte, 100)
		for {
			n, err := req.Body.Read(buf)
			if n > 0 {
				_, _ = w.Write(buf[:n])
				_ = rc.Flush()
			}
			if err != nil {
				return
			}
		}
	})
	for _, proto := range both {
		body, send := io.Pipe()
		resp, err := r.client(proto).Do(r.request("POST", r.path.scheme()+"://"+r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}), body))
		if err != nil {
			r.Fatal(err)
		}
		in := bufio.NewReader(resp.Body)
		for i := range 10 {
			fmt.Fprintf(send, "line %d\n", i)
			if line, err := in.ReadString('\n'); line != fmt.Sprintf("line %d\n", i) {
				r.Fatalf("read %q, %v", line, err)
			}
		}
		send.Close()
		if _, err := in.ReadByte(); err != io.EOF {
			r.Errorf("the end: %v", err)
		}
		resp.Body.Close()
	}
	all := strings.Repeat("0123456789abcdef", 1<<16)
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + all)
	if back, err := io.ReadAll(w.answer("POST").Body); string(back) != all || err != nil {
		r.Errorf("%d bytes came back, %v", len(back), err)
	}
}

// wrappedSocket: a connection of a custom dial that embeds a socket is read and written by its own methods, for heads, small
// and large bodies and an upgrade, and is used again.
func wrappedSocket(r *rig) {
	app := r.appOn(VeilListener(r.listen()), func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/echo" {
			echoWebsocket(w, req)
			return
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Length", req.Header.Get("X-Length"))
		_, _ = io.Copy(w, req.Body)
	})
	p := to(proxy.Upstream{Addr: app})
	addr := r.proxy(p, proxy.Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return Veil(c), nil
	}})
	for _, proto := range both {
		c := r.client(proto)
		for i, size := range []int{0, 1, 5000, 100_000, 3 << 20, 10} {
			sent := strings.Repeat("veil", size/4+1)[:size]
			req := r.request("POST", r.path.scheme()+"://"+addr, strings.NewReader(sent))
			req.Header.Set("X-Length", strconv.Itoa(size))
			if resp, got := r.do(c, req); resp.StatusCode != http.StatusOK || got != sent {
				r.Errorf("%d: %s, %d bytes of %d", proto, resp.Status, len(got), size)
			}
			if out := take(r, "the outcome", p.outcomes); out.Reused != (i > 0) {
				r.Errorf("%d: request %d: %+v", proto, i, out)
			}
		}
	}
	c, _, err := websocket.Dial(r.Context(), r.path.scheme()+"://"+addr+"/echo", &websocket.DialOptions{HTTPClient: r.client(proxy.HTTP1)})
	if err != nil {
		r.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for _, size := range []int{1, 100_000, 2_000_000} {
		sent := bytes.Repeat([]byte("w"), size)
		if err := c.Write(r.Context(), websocket.MessageBinary, sent); err != nil {
			r.Fatal(err)
		}
		if _, got, err := c.Read(r.Context()); err != nil || !bytes.Equal(got, sent) {
			r.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
		}
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
}
