package proxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// tooMuch is a body of 10 MB, of known length or not. The buffers of all sockets on its way hold less.
func tooMuch(known bool) (io.Reader, int64) {
	const size = 10_000_000
	if !known {
		return io.LimitReader(zeros{}, size), -1
	}
	return io.LimitReader(zeros{}, size), size
}

const (
	deniedAnswer   = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\nConnection: close\r\n\r\ndenied"
	tooLargeAnswer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 6\r\nConnection: close\r\n\r\ndenied"
)

// earlyApps answer before they have read a body in full, and differ in what they do then.
var earlyApps = []struct {
	name   string
	proto  proxy.Proto
	status int
	serve  func(c net.Conn, in *bufio.Reader)
}{
	{"reads on", proxy.HTTP1, 401, func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		_, _ = io.WriteString(c, deniedAnswer)
		_, _ = io.Copy(io.Discard, in)
	}},
	{"closes", proxy.HTTP1, 413, func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		_, _ = io.WriteString(c, tooLargeAnswer)
	}},
	{"reads some, and closes", proxy.HTTP1, 413, func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		_, _ = io.CopyN(io.Discard, in, 1_000_000)
		_, _ = io.WriteString(c, tooLargeAnswer)
	}},
	{"closes a moment later", proxy.HTTP1, 413, func(c net.Conn, in *bufio.Reader) {
		_, _ = head(in)
		_, _ = io.WriteString(c, tooLargeAnswer)
		time.Sleep(10 * time.Millisecond)
	}},
	{"HTTP/2, reads on", proxy.HTTP2, 401, earlyFrames(false, true, 0)},
	{"HTTP/2, says that it needs no more", proxy.HTTP2, 413, earlyFrames(true, true, http2.ErrCodeNo)},
	{"HTTP/2, closes", proxy.HTTP2, 413, earlyFrames(false, false, 0)},
}

// earlyFrames answers each request at the first bytes of its body, then resets the stream, reads the rest, or closes.
func earlyFrames(reset, on bool, code http2.ErrCode) func(c net.Conn, in *bufio.Reader) {
	return func(c net.Conn, in *bufio.Reader) {
		_, _ = io.CopyN(io.Discard, in, int64(len(http2.ClientPreface)))
		fr := http2.NewFramer(c, in)
		_ = fr.WriteSettings()
		_ = fr.WriteWindowUpdate(0, 1<<30)
		answered := map[uint32]bool{}
		eachFrame(fr, func(f http2.Frame) bool {
			id := f.Header().StreamID
			switch f.(type) {
			case *http2.HeadersFrame:
				_ = fr.WriteWindowUpdate(id, 1<<30)
			case *http2.DataFrame:
				if answered[id] {
					return true
				}
				answered[id] = true
				status := "401"
				if reset || !on {
					status = "413"
				}
				if !on {
					_ = fr.WriteGoAway(id, http2.ErrCodeNo, nil)
				}
				var block strings.Builder
				_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: status})
				_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(block.String()), EndHeaders: true})
				_ = fr.WriteData(id, true, []byte("denied"))
				if reset {
					_ = fr.WriteRSTStream(id, code)
				}
				return on
			}
			return true
		})
	}
}

// earlyOverHTTP2: an answer that comes while a large body is being sent always reaches a client of HTTP/2, whatever the app
// does then: the error of sending the rest doesn't overtake it.
func earlyOverHTTP2(r *rig) {
	for _, app := range earlyApps {
		if !r.path.reaches(app.proto, proxy.HTTP2) {
			continue
		}
		p := to(proxy.Upstream{Addr: r.rawApp(func(c net.Conn, in *bufio.Reader) {
			if b, _ := in.Peek(4); app.proto == proxy.HTTP1 && string(b) == "PRI " {
				_, _ = io.WriteString(c, "HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n")
				return
			}
			app.serve(c, in)
		}), Proto: app.proto})
		url, c := r.path.scheme()+"://"+r.proxy(p, proxy.Config{}), r.client(proxy.HTTP2)
		times := 20
		if strings.Contains(app.name, "reads on") {
			times = 4 // the whole body each time
		}
		for i := range times {
			body, size := tooMuch(i%2 == 0)
			req := r.request("POST", url, body)
			req.ContentLength = size
			name := fmt.Sprintf("%s, length %d", app.name, size)
			resp, err := c.Do(req)
			if err != nil {
				r.Errorf("%s: %v", name, err)
				continue
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != app.status || string(got) != "denied" || err != nil {
				r.Errorf("%s: %s %q, %v", name, resp.Status, got, err)
			}
			if res := take(r, "the result", p.results); res.Status != app.status {
				r.Errorf("%s: %+v", name, res)
			}
		}
	}
}
