package proxytest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// trailed is an answer of an app, and the answer that a client must get.
type trailed struct {
	name    string
	method  string // "": GET
	one     string // the answer in HTTP/1.1
	two     []sent // the answer in HTTP/2
	status  int
	body    string
	trailer string // the value of X
	length  bool   // the answer has Content-Length and trailers, which is impossible in HTTP/1.1
}

// sent is a frame of an answer: a block of fields, or DATA if there are none.
type sent struct {
	fields []string // name, value, name, value …
	data   string
	end    bool
}

// blocks is an answer of a head, a body, unless that is "", and trailers.
func blocks(head []string, body string, trailers ...string) (all []sent) {
	all = []sent{{fields: head}}
	if body != "" {
		all = append(all, sent{data: body})
	}
	if len(trailers) == 0 {
		all[len(all)-1].end = true
		return all
	}
	return append(all, sent{fields: trailers, end: true})
}

var trailedAnswers = []trailed{
	{
		name: "announced, with a length", status: 200, body: "body",
		one: "200 OK\r\nTrailer: X\r\nContent-Length: 4\r\n\r\nbody",
		two: blocks([]string{":status", "200", "trailer", "X", "content-length", "4"}, "body"),
	},
	{
		name: "announced, without a length", status: 200, body: "body",
		one: "200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		two: blocks([]string{":status", "200", "trailer", "X"}, "body"),
	},
	{
		name: "announced, without a body", status: 200,
		one: "200 OK\r\nTrailer: X\r\nContent-Length: 0\r\n\r\n",
		two: blocks([]string{":status", "200", "trailer", "X", "content-length", "0"}, ""),
	},
	{
		name: "announced, an empty body of no length", status: 200,
		one: "200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		two: []sent{{fields: []string{":status", "200", "trailer", "X"}}, {end: true}},
	},
	{
		name: "announced with 204", status: 204,
		one: "204 No Content\r\nTrailer: X\r\n\r\n",
		two: blocks([]string{":status", "204", "trailer", "X"}, ""),
	},
	{
		name: "announced with 204 that ends later", status: 204,
		one: "204 No Content\r\nTrailer: X\r\n\r\n",
		two: []sent{{fields: []string{":status", "204", "trailer", "X"}}, {end: true}},
	},
	{
		name: "announced with 304", status: 304,
		one: "304 Not Modified\r\nTrailer: X\r\n\r\n",
		two: blocks([]string{":status", "304", "trailer", "X"}, ""),
	},
	{
		name: "announced with 304 and a length", status: 304,
		one: "304 Not Modified\r\nTrailer: X\r\nContent-Length: 4\r\n\r\n",
		two: blocks([]string{":status", "304", "trailer", "X", "content-length", "4"}, ""),
	},
	{
		name: "announced to HEAD", method: "HEAD", status: 200,
		one: "200 OK\r\nTrailer: X\r\nContent-Length: 4\r\n\r\n",
		two: blocks([]string{":status", "200", "trailer", "X", "content-length", "4"}, ""),
	},
	{
		name: "announced to HEAD, in chunks", method: "HEAD", status: 200,
		one: "200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n",
		two: []sent{{fields: []string{":status", "200", "trailer", "X"}}, {end: true}},
	},
	{
		name: "sent behind a body", status: 200, body: "body", trailer: "1",
		one: "200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: 1\r\n\r\n",
		two: blocks([]string{":status", "200", "trailer", "X"}, "body", "x", "1"),
	},
	{
		name: "sent behind an empty body", status: 200, trailer: "1",
		one: "200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n",
		two: blocks([]string{":status", "200", "trailer", "X"}, "", "x", "1"),
	},
	{
		name: "sent, not announced", status: 200, body: "body", trailer: "1",
		one: "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: 1\r\n\r\n",
		two: blocks([]string{":status", "200"}, "body", "x", "1"),
	},
	{
		name: "sent behind an empty body, not announced", status: 200, trailer: "1",
		one: "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n",
		two: blocks([]string{":status", "200"}, "", "x", "1"),
	},
	{
		name: "others than announced", status: 200, body: "body", trailer: "1",
		one: "200 OK\r\nTrailer: Y\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: 1\r\n\r\n",
		two: blocks([]string{":status", "200", "trailer", "Y"}, "body", "x", "1"),
	},
	{
		name: "sent behind a length", status: 200, body: "body", trailer: "1", length: true,
		two: blocks([]string{":status", "200", "trailer", "X", "content-length", "4"}, "body", "x", "1"),
	},
	{
		name: "sent behind a length, not announced", status: 200, body: "body", trailer: "1", length: true,
		two: blocks([]string{":status", "200", "content-length", "4"}, "body", "x", "1"),
	},
	{
		name: "sent behind length 0", status: 200, trailer: "1", length: true,
		two: blocks([]string{":status", "200", "trailer", "X", "content-length", "0"}, "", "x", "1"),
	},
	{
		name: "sent behind length 0, not announced", status: 200, trailer: "1", length: true,
		two: blocks([]string{":status", "200", "content-length", "0"}, "", "x", "1"),
	},
}

// trailersEnd: whichever trailers an app announces and sends, the answer ends, the next request gets its slot, and the
// trailers that were sent arrive.
func trailersEnd(r *rig) {
	for _, upstream := range both {
		for _, proto := range r.path.protos(upstream) {
			trailersFrom(r, upstream, proto)
		}
	}
}

func trailersFrom(r *rig, upstream, proto proxy.Proto) {
	byPath := map[string]trailed{}
	for i, a := range trailedAnswers {
		byPath[fmt.Sprint("/", i)] = a
	}
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for {
			h, err := head(in)
			if err != nil {
				return
			}
			if strings.HasPrefix(h, "PRI ") { // the preface of HTTP/2
				_, _ = io.WriteString(c, "HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n")
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 "+byPath[strings.Fields(h)[1]].one)
		}
	})
	if upstream == proxy.HTTP2 {
		app = r.rawApp(func(c net.Conn, in *bufio.Reader) {
			serveFrames(c, in, func(path string) []sent { return byPath[path].two })
		})
	}
	p := to(proxy.Upstream{Addr: app, Proto: upstream})
	p.limit = 1
	url, c := r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), r.client(proto)
	for i, a := range trailedAnswers {
		path := fmt.Sprint("/", i)
		if upstream == proxy.HTTP1 && a.one == "" || upstream == proxy.HTTP2 && a.two == nil {
			continue
		}
		if a.name == "announced with 304 and a length" && proto == proxy.HTTP2 {
			continue // net/http's client takes Content-Length for the length of a body
		}
		for _, takes := range []bool{true, false} {
			name := fmt.Sprintf("%s, over HTTP/%d from HTTP/%d, TE %v", a.name, proto, upstream, takes)
			req := r.request(a.method, url+path, nil)
			if takes {
				req.Header.Set("TE", "trailers")
			}
			resp, body := r.do(c, req)
			if resp.StatusCode != a.status || body != a.body {
				r.Errorf("%s: %s %q", name, resp.Status, body)
			}
			// A client that doesn't announce that it accepts trailers gets the length instead (RFC 9110 §6.5.1).
			want := a.trailer
			if a.length && proto == proxy.HTTP1 && !takes {
				want = ""
			}
			if got := resp.Trailer.Get("X"); got != want {
				r.Errorf("%s: trailers %v, want X: %s", name, resp.Trailer, want)
			}
			if res := take(r, "the result", p.results); res.Reason != proxy.ReasonNone || res.Status != a.status {
				r.Errorf("%s: %+v", name, res)
			}
		}
	}
}

// serveFrames answers each request of an HTTP/2 connection, at its head, with the frames that answer returns for its path.
func serveFrames(c net.Conn, in *bufio.Reader, answer func(path string) []sent) {
	_, _ = io.CopyN(io.Discard, in, int64(len(http2.ClientPreface)))
	fr := http2.NewFramer(c, in)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	eachFrame(fr, func(f http2.Frame) bool {
		h, ok := f.(*http2.MetaHeadersFrame)
		if !ok {
			return true
		}
		for _, s := range answer(h.PseudoValue("path")) {
			if s.fields == nil {
				_ = fr.WriteData(h.StreamID, s.end, []byte(s.data))
				continue
			}
			block.Reset()
			for i := 0; i < len(s.fields); i += 2 {
				_ = enc.WriteField(hpack.HeaderField{Name: s.fields[i], Value: s.fields[i+1]})
			}
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: s.end})
		}
		return true
	})
}

// eachFrame reads a connection's frames until do returns false or they end. It acknowledges settings and pings itself.
func eachFrame(fr *http2.Framer, do func(http2.Frame) (more bool)) {
	for more := true; more; {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = fr.WritePing(true, f.Data)
			}
		default:
			more = do(f)
		}
	}
}

// missingBody: a head that announces a body but ends the stream is a truncated answer.
func missingBody(r *rig) {
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		serveFrames(c, in, func(string) []sent { return blocks([]string{":status", "200", "content-length", "4"}, "") })
	})
	for _, proto := range r.path.protos(proxy.HTTP2) {
		p := to(proxy.Upstream{Addr: app, Proto: proxy.HTTP2})
		resp, err := r.client(proto).Do(r.request("GET", r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), nil))
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		// An implementation that sees it in time answers itself: such a response is malformed (RFC 9113 §8.1.1).
		malformed := err == nil && resp.StatusCode == http.StatusBadGateway
		if !malformed {
			r.cut(err)
		}
		want := proxy.ResponseTruncated
		if malformed {
			want = proxy.BadResponse
		}
		if res := take(r, "the result", p.results); res.Reason != want {
			r.Errorf("HTTP/%d: %+v", proto, res)
		}
	}
}

// trailersUp: a request ends too, whichever trailers its client announces and sends.
func trailersUp(r *rig) {
	ups := make(chan http.Header, 1)
	app := r.app(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		ups <- req.Trailer
	})
	for _, upstream := range both {
		for _, proto := range r.path.protos(upstream) {
			p := to(proxy.Upstream{Addr: app, Proto: upstream})
			url, c := r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), r.client(proto)
			for _, body := range []string{"", "body"} {
				for _, trailers := range []http.Header{{"X": nil}, {"X": {"1"}}} {
					req := r.request("POST", url, io.MultiReader(strings.NewReader(body)))
					req.Trailer = trailers
					r.do(c, req)
					if got := take(r, "the request", ups); got.Get("X") != trailers.Get("X") {
						r.Errorf("HTTP/%d to HTTP/%d: %q: trailers %v, want %v", proto, upstream, body, got, trailers)
					}
				}
			}
		}
	}
}

// trailersOfTheProtocol: fields with a meaning in HTTP itself must not pass in a trailer section, where the receiver might
// apply them (RFC 9110 §6.5.1).
func trailersOfTheProtocol(r *rig) {
	const section = "0\r\nX: 1\r\nConnection: close\r\nKeep-Alive: timeout=1\r\nHost: y\r\nContent-Length: 9\r\n\r\n"
	ups := make(chan http.Header, 1)
	app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
		for {
			req, err := http.ReadRequest(in)
			if err != nil || req.Method == "PRI" { // this app has no HTTP/2
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			ups <- req.Trailer
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"+section)
		}
	})
	addr := r.proxy(to(proxy.Upstream{Addr: app, Proto: proxy.HTTP1}), proxy.Config{})
	alone := func(what string, trailers http.Header) {
		r.Helper()
		if len(trailers) != 1 || trailers.Get("X") != "1" {
			r.Errorf("%s: trailers %v", what, trailers)
		}
	}
	for _, proto := range both {
		if !r.path.reaches(proxy.HTTP1, proto) {
			continue
		}
		req := r.request("POST", r.path.scheme()+"://"+addr, io.MultiReader(strings.NewReader("body")))
		req.Trailer = http.Header{"X": {"1"}}
		resp, _ := r.do(r.client(proto), req)
		alone(fmt.Sprintf("an answer over HTTP/%d", proto), resp.Trailer)
		alone(fmt.Sprintf("a request over HTTP/%d", proto), take(r, "the request", ups))
	}
	w := r.dial(addr).send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n" + section)
	alone("a request", take(r, "the request", ups))
	w.answer("POST")
}
