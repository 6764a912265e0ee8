package proxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/sluice-proxy/sluice/proxy"
)

var speaks = []testCase{
	{"F14AnAppOfHTTP1AloneIsReached", http1Alone, ""},
	{"F14ItIsFoundOutOnce", foundOnce, ""},
	{"F14AnAppThatClosesAtHTTP2", closesAtHTTP2, ""},
	{"F14AnAppThatIsSlowToSay", slowToSay, ""},
	{"F14AnAppThatLearnsHTTP2", learnsHTTP2, ""},
	{"F14GRPCNeedsHTTP2", grpcNeedsHTTP2, ""},
}

// appOf serves h on l in some protocols, and returns a function that ends it.
func (r *rig) appOf(l net.Listener, h http.HandlerFunc, protos ...proxy.Proto) (end func()) {
	var p http.Protocols
	for _, proto := range protos {
		p.SetHTTP1(p.HTTP1() || proto == proxy.HTTP1)
		p.SetUnencryptedHTTP2(p.UnencryptedHTTP2() || proto == proxy.HTTP2)
	}
	s := &http.Server{Handler: h, Protocols: &p}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	end = sync.OnceFunc(func() { s.Close(); <-done })
	r.Cleanup(end)
	return end
}

// echo answers with the request's protocol and body.
func echo(w http.ResponseWriter, req *http.Request) {
	b, _ := io.ReadAll(req.Body)
	fmt.Fprintf(w, "%s:%d:", req.Proto, len(b))
	_, _ = w.Write(b)
}

// http1Alone: clients of both protocols reach an app that supports only HTTP/1.1, including the bodies of their first
// requests, and an app that supports both gets each request in the client's protocol.
func http1Alone(r *rig) {
	for _, app := range [][]proxy.Proto{{proxy.HTTP1}, both} {
		l := r.listen()
		r.appOf(l, echo, app...)
		for _, proto := range both {
			p := to(proxy.Upstream{Addr: l.Addr().String()})
			url, c := r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), r.client(proto)
			want := "HTTP/1.1"
			if proto == proxy.HTTP2 && len(app) == 2 {
				want = "HTTP/2.0"
			}
			for i, size := range []int{200_000, 0, 4, 70_000} { // 64 KiB are held for a retry
				req := r.request("POST", url, strings.NewReader(strings.Repeat("x", size)))
				if i == 0 {
					req.ContentLength = -1
				}
				resp, body := r.do(c, req)
				if head, _, _ := strings.Cut(body, ":x"); resp.StatusCode != 200 || !strings.HasPrefix(head, fmt.Sprintf("%s:%d", want, size)) {
					r.Errorf("HTTP/%d to %v: %s %.20q, want %s:%d", proto, app, resp.Status, body, want, size)
				}
				if res := take(r, "the result", p.results); res.Reason != proxy.ReasonNone || res.Attempts != 1 {
					r.Errorf("HTTP/%d to %v: %+v", proto, app, res)
				}
			}
		}
	}
}

// asked reports for each connection to an app of HTTP/1.1 whether HTTP/2 was begun on it. Connections without a byte don't
// count.
func (r *rig) asked(answer string) (addr string, two *atomic.Int32) {
	two = new(atomic.Int32)
	addr = r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for {
			h, err := head(in)
			if err != nil {
				return
			}
			if strings.HasPrefix(h, "PRI ") {
				two.Add(1)
				io.WriteString(c, answer)
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	return addr, two
}

// foundOnce: the protocol of an app is detected once, however many requests come at the same time, and not for a client of
// HTTP/1.1. This holds for an app that keeps no connection too.
func foundOnce(r *rig) {
	addr, two := r.asked("HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\n\r\n")
	url := r.path.scheme() + "://" + r.proxy(to(proxy.Upstream{Addr: addr}), proxy.Config{})
	r.do(r.client(proxy.HTTP1), r.request("GET", url, nil))
	if n := two.Load(); n != 0 {
		r.Errorf("asked %d times for a client of HTTP/1.1", n)
	}
	c := r.client(proxy.HTTP2)
	for range 3 {
		atOnce(make([]bool, 20), func(bool) {
			if resp, body := r.do(c, r.request("GET", url, nil)); resp.StatusCode != 200 || body != "ok" {
				r.Errorf("%s %q", resp.Status, body)
			}
		})
	}
	if n := two.Load(); n != 1 {
		r.Errorf("asked %d times", n)
	}
}

// closesAtHTTP2: some servers close the connection without an answer when HTTP/2 is begun.
func closesAtHTTP2(r *rig) {
	addr, two := r.asked("")
	url, c := r.path.scheme()+"://"+r.proxy(to(proxy.Upstream{Addr: addr}), proxy.Config{}), r.client(proxy.HTTP2)
	for range 5 {
		if resp, body := r.do(c, r.request("POST", url, strings.NewReader("body"))); resp.StatusCode != 200 || body != "ok" {
			r.Errorf("%s %q", resp.Status, body)
		}
	}
	if n := two.Load(); n != 1 {
		r.Errorf("asked %d times", n)
	}
}

// slowToSay: an app that accepts connections before it can answer is not taken for one of the other protocol. If a client
// disconnects meanwhile, the detection continues for the others.
func slowToSay(r *rig) {
	for _, app := range both {
		got, say := make(chan bool, 100), make(chan bool)
		addr := r.rawApp(func(c net.Conn, in *bufio.Reader) {
			got <- true
			select {
			case <-say:
			case <-r.Context().Done():
				return
			}
			if app == proxy.HTTP2 {
				serveFrames(c, in, func(string) []sent { return blocks([]string{":status", "200"}, "ok") })
				return
			}
			for {
				h, err := head(in)
				if err != nil {
					return
				}
				if strings.HasPrefix(h, "PRI ") {
					_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		p := to(proxy.Upstream{Addr: addr})
		at := r.proxy(p, proxy.Config{})
		leaves := r.dialHTTP2(at)
		id := leaves.request(true, ":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/")
		take(r, "a connection", got)
		done := make(chan bool)
		go func() {
			defer close(done)
			if resp, body := r.do(r.client(proxy.HTTP2), r.request("GET", r.path.scheme()+"://"+at, nil)); resp.StatusCode != 200 || body != "ok" {
				r.Errorf("HTTP/%d: %s %q", app, resp.Status, body)
			}
		}()
		for range 2 {
			take(r, "a request", p.entered)
		}
		_ = leaves.fr.WriteRSTStream(id, http2.ErrCodeCancel)
		if res := take(r, "the result", p.results); res.Reason != proxy.ClientGone {
			r.Errorf("HTTP/%d: %+v", app, res)
		}
		close(say)
		take(r, "the answer", done)
	}
}

// learnsHTTP2: the protocol is detected again after an app was replaced, at the same address, by one with another protocol.
// Between the two no program listens.
func learnsHTTP2(r *rig) {
	l := r.listen()
	addr := l.Addr().String()
	end := r.appOf(l, echo, proxy.HTTP1)
	url, c := r.path.scheme()+"://"+r.proxy(to(proxy.Upstream{Addr: addr}), proxy.Config{}), r.client(proxy.HTTP2)
	get := func(want string) {
		if resp, body := r.do(c, r.request("GET", url, nil)); body != want {
			r.Errorf("%s %q, want %q", resp.Status, body, want)
		}
	}
	get("HTTP/1.1:0:")
	for _, proto := range []proxy.Proto{proxy.HTTP2, proxy.HTTP1} {
		end()
		// It is a POST, since a GET may be sent again.
		if resp, body := r.do(c, r.request("POST", url, strings.NewReader("body"))); resp.StatusCode != 502 {
			r.Errorf("no app listens: %s %q", resp.Status, body)
		}
		var l net.Listener
		if !await(func() (ok bool) { l, ok = listenAgain(addr); return ok }) {
			r.Fatalf("another program has taken %s", addr)
		}
		end = r.appOf(l, echo, proto)
		get(fmt.Sprintf("HTTP/%s:0:", map[proxy.Proto]string{proxy.HTTP1: "1.1", proxy.HTTP2: "2.0"}[proto]))
	}
}

// listenAgain listens at an address that was in use before.
func listenAgain(addr string) (net.Listener, bool) {
	l, err := net.Listen("tcp", addr)
	return l, err == nil
}

// grpcNeedsHTTP2: a call to an app of HTTP/1.1 fails with a reason, also once the app's protocol is known.
func grpcNeedsHTTP2(r *rig) {
	l := r.listen()
	r.appOf(l, echo, proxy.HTTP1)
	p := to(proxy.Upstream{Addr: l.Addr().String()})
	addr := r.proxy(p, proxy.Config{})
	creds := insecure.NewCredentials()
	if r.path.TLS != nil {
		host, _, _ := net.SplitHostPort(addr)
		creds = credentials.NewTLS(r.path.clientTLS(host, proxy.HTTP2))
	}
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		r.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		_, err = grpc_testing.NewTestServiceClient(c).UnaryCall(r.Context(), &grpc_testing.SimpleRequest{})
		if s := status.Convert(err); s.Code() != codes.Internal || s.Message() != "gRPC needs HTTP/2, which the app does not speak" {
			r.Errorf("%v", err)
		}
		if res := take(r, "the result", p.results); res.Reason != proxy.BadResponse || res.Attempts != 1 {
			r.Errorf("%+v", res)
		}
		r.do(r.client(proxy.HTTP2), r.request("GET", r.path.scheme()+"://"+addr, nil))
		take(r, "the other result", p.results)
	}
}
