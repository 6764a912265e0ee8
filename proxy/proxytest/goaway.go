package proxytest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// goAway: an upstream that sends GOAWAY answers the requests up to the stream that it names. The others are sent again on
// another connection, whatever the method, since the upstream has not processed them (RFC 9113 §6.8).
func goAway(r *rig) {
	for _, came := range []bool{true, false} {
		var conns atomic.Int32
		app := r.rawApp(func(c net.Conn, in *bufio.Reader) {
			first := conns.Add(1) == 1
			_, _ = io.CopyN(io.Discard, in, int64(len(http2.ClientPreface)))
			fr := http2.NewFramer(c, in)
			_ = fr.WriteSettings()
			for {
				f, err := fr.ReadFrame()
				if err != nil {
					return
				}
				id := f.Header().StreamID
				if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
					_ = fr.WriteSettingsAck()
				}
				if f.Header().Type != http2.FrameData || !f.(*http2.DataFrame).StreamEnded() {
					continue
				}
				if first && !came {
					_ = fr.WriteGoAway(0, http2.ErrCodeNo, nil)
					continue
				}
				if first {
					_ = fr.WriteGoAway(id, http2.ErrCodeNo, nil)
				}
				var block bytes.Buffer
				_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
				_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
				_ = fr.WriteData(id, true, []byte("answer"))
			}
		})
		p := to(proxy.Upstream{Addr: app, Proto: proxy.HTTP2})
		addr, c := r.proxy(p, proxy.Config{}), r.client(r.path.protos(proxy.HTTP2)[0])
		for i := range 2 {
			if resp, body := r.do(c, r.request("POST", r.path.scheme()+"://"+addr, strings.NewReader("body"))); resp.StatusCode != 200 || body != "answer" {
				r.Errorf("processed %v: %s %q", came, resp.Status, body)
			}
			want := 1
			if i == 0 && !came {
				want = 2
			}
			if res := take(r, "the result", p.results); res.Attempts != want {
				r.Errorf("processed %v: %d attempts, want %d", came, res.Attempts, want)
			}
		}
		if n := conns.Load(); n != 2 {
			r.Errorf("processed %v: %d connections, want 2", came, n)
		}
	}
}
