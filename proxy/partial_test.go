package proxy_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// A head of HTTP/2 has to come within HeadTimeout, as one of HTTP/1.1 has, whatever else goes on on its connection.
func TestLateHeadsOfHTTP2(t *testing.T) {
	r := newCrowd(t, proxy.ServerConfig{HeadTimeout: 200 * time.Millisecond})
	for name, send := range map[string]func(f *http2.Framer, out *bytes.Buffer, block []byte){
		"no SETTINGS": func(_ *http2.Framer, out *bytes.Buffer, _ []byte) { out.Truncate(len(http2.ClientPreface)) },
		"no END_HEADERS": func(f *http2.Framer, _ *bytes.Buffer, block []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block})
		},
		"half a frame": func(f *http2.Framer, out *bytes.Buffer, block []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
			out.Truncate(out.Len() - 1)
		},
		"beside a request": func(f *http2.Framer, _ *bytes.Buffer, block []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := prior(t, r.addr, send)
			for {
				x, err := f.ReadFrame()
				if err != nil {
					t.Fatal("no GOAWAY: ", err)
				}
				if g, ok := x.(*http2.GoAwayFrame); ok {
					if g.ErrCode != http2.ErrCodeEnhanceYourCalm {
						t.Error(g)
					}
					return
				}
			}
		})
		if err := <-r.refused; proxy.RejectionOf(err).Status() != 408 {
			t.Error(err)
		}
	}
	r.await("nothing to be held", func() bool { return r.usage("held_bytes").Used == 0 })
}

// What has come of heads counts among what is held.
func TestPartialHeadsOfHTTP2AreBounded(t *testing.T) {
	const limit = 4 << 20
	r := newCrowd(t, proxy.ServerConfig{MaxHeld: limit})
	for range 100 {
		prior(t, r.addr, func(f *http2.Framer, _ *bytes.Buffer, block []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block})
			for range 8 {
				_ = f.WriteContinuation(1, false, []byte("\x00\x01x\x7f\x81\x7f"+strings.Repeat("x", 16000)))
			}
		})
	}
	if err := <-r.refused; proxy.RejectionOf(err).Status() != 503 || !strings.Contains(err.Error(), "max-held-bytes") {
		t.Error(err)
	}
	if u := r.usage("held_bytes"); u.Used == 0 || u.Used > limit*5/8 { // one address
		t.Errorf("%+v", u)
	}
}

// prior is a client of HTTP/2 that sends what send writes.
func prior(t *testing.T, addr string, send func(f *http2.Framer, out *bytes.Buffer, block []byte)) *http2.Framer {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var out, block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/wait"}} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true})
	}
	f := http2.NewFramer(&out, conn)
	out.WriteString(http2.ClientPreface)
	_ = f.WriteSettings()
	send(f, &out, block.Bytes())
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(conn, &out); err != nil {
		t.Log(err) // it may have been ended already
	}
	return f
}
