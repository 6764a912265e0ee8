package proxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/proxy"
)

func answersPass(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for _, a := range []string{
			"299 Odd\r\nContent-Length: 1\r\nX: 1\r\nX: 2\r\n\r\na",
			"304 Not Modified\r\nEtag: \"x\"\r\n\r\n",
			"204 No Content\r\n\r\n",
			"200 OK\r\nContent-Length: 12345\r\n\r\n", // to HEAD
			"404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		} {
			if _, err := head(in); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 "+a)
		}
	})
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	for _, want := range []struct {
		method string
		status int
		body   string
	}{{"GET", 299, "a"}, {"GET", 304, ""}, {"GET", 204, ""}, {"HEAD", 200, ""}, {"GET", 404, "abc"}} {
		w.send(want.method + " / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp := w.answer(want.method)
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != want.status || string(body) != want.body || err != nil {
			r.Errorf("%s: %d %q %v, want %+v", want.method, resp.StatusCode, body, err, want)
		}
		if want.method == "HEAD" && resp.ContentLength != 12345 {
			r.Errorf("HEAD: Content-Length %d", resp.ContentLength)
		}
		if want.status == 299 && !slices.Equal(resp.Header["X"], []string{"1", "2"}) {
			r.Errorf("repeated field: %q", resp.Header["X"])
		}
	}
}

// interims: 102 and several 103 come before the final answer, each with its own fields, which the final answer doesn't have.
func interims(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for {
			if _, err := head(in); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+
				"HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	w := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{}))
	w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	var got []string
	for range 4 {
		resp := w.answer("GET")
		got = append(got, fmt.Sprintf("%d%v", resp.StatusCode, resp.Header["Link"]))
	}
	if want := []string{"102[]", "103[</a>]", "103[</b>]", "200[]"}; !slices.Equal(got, want) {
		r.Errorf("answers %q, want %q", got, want)
	}
	w.expect("ok")
	old := r.dial(r.proxy(to(proxy.Upstream{Addr: app}), proxy.Config{})).send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	if resp := old.answer("GET"); resp.StatusCode != 200 {
		r.Errorf("HTTP/1.0 got %s first", resp.Status)
	}
}

// reuse: many requests, one after the other, use one connection to the upstream.
func reuse(r *rig) {
	for _, proto := range []proxy.Proto{proxy.HTTP1, proxy.HTTP2} {
		peers := make(chan string, 100)
		app := r.app(func(_ http.ResponseWriter, req *http.Request) { peers <- req.RemoteAddr })
		p := to(proxy.Upstream{Addr: app})
		addr, client := r.proxy(p, proxy.Config{}), r.client(proto)
		first := ""
		for i := range 20 {
			r.do(client, r.request("POST", r.path.scheme()+"://"+addr, strings.NewReader("body")))
			peer := take(r, "a request", peers)
			if i == 0 {
				first = peer
			}
			if o := take(r, "an outcome", p.outcomes); peer != first || o.Reused != (i > 0) {
				r.Errorf("request %d came from %s, the first from %s; reused: %v", i, peer, first, o.Reused)
			}
		}
	}
}
