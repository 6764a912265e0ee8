package proxytest

import (
	"bufio"
	"bytes"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy"
)

// wire2 is a client's HTTP/2 connection whose frames are written and read by hand.
type wire2 struct {
	r    *rig
	c    *wire
	fr   *http2.Framer
	enc  *hpack.Encoder
	buf  bytes.Buffer
	last uint32 // stream
}

func (r *rig) dialHTTP2(addr string) *wire2 {
	r.Helper()
	w := &wire2{r: r, c: r.dialFor(addr, proxy.HTTP2)}
	w.c.Conn = r.streams.tap(w.c.Conn)
	w.c.in = bufio.NewReader(w.c.Conn)
	r.mu.Lock()
	r.byHand = append(r.byHand, w)
	r.mu.Unlock()
	w.c.send(http2.ClientPreface)
	w.fr = http2.NewFramer(w.c, w.c.in)
	w.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.enc = hpack.NewEncoder(&w.buf)
	if err := w.fr.WriteSettings(); err != nil {
		r.Fatal(err)
	}
	return w
}

// request opens a stream with the fields given as name, value, name, value … and the path's scheme, and returns its ID.
func (w *wire2) request(end bool, fields ...string) uint32 {
	w.r.Helper()
	w.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		if fields[i] == ":scheme" {
			fields[i+1] = w.r.path.scheme()
		}
		_ = w.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if w.last == 0 {
		w.last = 1
	} else {
		w.last += 2
	}
	err := w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: w.last, BlockFragment: w.buf.Bytes(), EndHeaders: true, EndStream: end})
	if err != nil {
		w.r.Fatal(err)
	}
	return w.last
}

func (w *wire2) data(id uint32, end bool, b string) {
	w.r.Helper()
	if err := w.fr.WriteData(id, end, []byte(b)); err != nil {
		w.r.Fatal(err)
	}
}

// next returns the next frame of a stream, or the next GOAWAY. It answers SETTINGS and PING.
func (w *wire2) next() http2.Frame {
	w.r.Helper()
	for {
		f, err := w.fr.ReadFrame()
		if err != nil {
			w.r.Fatalf("HTTP/2: %v", err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = w.fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = w.fr.WritePing(true, f.Data)
			}
		case *http2.WindowUpdateFrame:
		default:
			return f
		}
	}
}

// head reads frames up to the next head.
func (w *wire2) head() *http2.MetaHeadersFrame {
	w.r.Helper()
	for {
		if f, ok := w.next().(*http2.MetaHeadersFrame); ok {
			return f
		}
	}
}

// reset reads frames up to a RST_STREAM, and returns the data before it.
func (w *wire2) reset() (data string, code http2.ErrCode) {
	w.r.Helper()
	var b bytes.Buffer
	for {
		switch f := w.next().(type) {
		case *http2.DataFrame:
			b.Write(f.Data())
			if f.StreamEnded() {
				w.r.Errorf("the stream ended in order after %q", b.String())
				return b.String(), http2.ErrCodeNo
			}
		case *http2.RSTStreamFrame:
			return b.String(), f.ErrCode
		}
	}
}

// refused reads the answer to a malformed request: a 400 or a stream error.
func (w *wire2) refused() {
	w.r.Helper()
	for {
		switch f := w.next().(type) {
		case *http2.MetaHeadersFrame:
			if f.PseudoValue("status") != "400" {
				w.r.Errorf("a malformed request got %s", f.PseudoValue("status"))
			}
			return
		case *http2.RSTStreamFrame:
			return
		}
	}
}
