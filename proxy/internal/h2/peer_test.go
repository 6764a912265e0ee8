package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	xhpack "golang.org/x/net/http2/hpack"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// peer is the other end of a Conn, frame by frame, as x/net reads and writes them.
type peer struct {
	*http2.Framer
	t       *testing.T
	sent    bytes.Buffer // by the peer
	block   bytes.Buffer
	encoder *xhpack.Encoder

	side
	got   bytes.Buffer // by the peer
	calls []string     // of the handler
	said  []string     // by our end
}

// newPeer starts a connection. Our end answers what it is asked with the functions of h, whose calls are recorded.
func newPeer(t *testing.T, cfg Config, h calls) *peer {
	p := &peer{t: t}
	p.prepare()
	p.init(cfg, p.recorded(h))
	if cfg.Client {
		p.out = p.out[len(Preface):]
	} else {
		p.sent.WriteString(Preface)
	}
	return p
}

func (p *peer) prepare() {
	p.Framer = http2.NewFramer(&p.sent, &p.got)
	p.AllowIllegalWrites = true
	p.ReadMetaHeaders = xhpack.NewDecoder(4096, nil)
	p.encoder = xhpack.NewEncoder(&p.block)
}

func (p *peer) call(format string, args ...any) {
	p.calls = append(p.calls, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// recorded is h with a record of its calls.
func (p *peer) recorded(h calls) Handler {
	ending := map[bool]string{true: " end", false: ""}
	return &calls{
		request: func(s *Stream, r *Request, end bool) {
			p.call("Request %d %s%s", s.ID, r.Path, ending[end])
			(&h).Request(s, r, end)
		},
		oversized: func(s *Stream, err error) {
			p.call("Oversized %d", s.ID)
			(&h).Oversized(s, err)
		},
		response: func(s *Stream, status int, f h1.Fields, end bool) {
			p.call("Response %d %d%s", s.ID, status, ending[end])
			(&h).Response(s, status, f, end)
		},
		data: func(s *Stream, b []byte, end bool) {
			p.call("Data %d %s%s", s.ID, b, ending[end])
			(&h).Data(s, b, end)
		},
		trailers: func(s *Stream, f h1.Fields) {
			p.call("Trailers %d", s.ID)
			(&h).Trailers(s, f)
		},
		reset: func(s *Stream, code Code) {
			p.call("Reset %d %v", s.ID, code)
			(&h).Reset(s, code)
		},
		writable: func(s *Stream) {
			p.call("Writable %d", s.ID)
			(&h).Writable(s)
		},
		goAway: func(last uint32, code Code) {
			p.call("GoAway %d %v", last, code)
			(&h).GoAway(last, code)
		},
	}
}

// head writes a header block; fields are names and values in turn.
func (p *peer) head(id uint32, end bool, fields ...string) {
	p.t.Helper()
	b := p.encode(fields...)
	n := min(len(b), maxFrame)
	p.check(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: end, EndHeaders: n == len(b), BlockFragment: b[:n]}))
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = min(len(b), maxFrame)
		p.check(p.WriteContinuation(id, n == len(b), b[:n]))
	}
}

func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.encoder.WriteField(xhpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

// ask writes the head of a request, with fields behind those of a plain one.
func (p *peer) ask(id uint32, end bool, fields ...string) {
	p.t.Helper()
	p.head(id, end, append([]string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/"}, fields...)...)
}

func (p *peer) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Error(err)
	}
}

// exchange has our end read what the peer has written, and the peer what our end says to that.
func (p *peer) exchange() error {
	p.t.Helper()
	p.rest = append(p.rest, p.sent.Bytes()...)
	p.sent.Reset()
	n, err := p.Input(p.rest)
	p.rest = p.rest[n:]
	p.read()
	return err
}

// read has the peer read the output.
func (p *peer) read() {
	p.t.Helper()
	for len(p.out) > 0 {
		p.got.Write(p.out)
		p.out = p.out[:0]
		for p.got.Len() > 0 {
			f, err := p.ReadFrame()
			if err != nil {
				p.t.Fatalf("our end wrote what x/net doesn't take: %v", err)
			}
			p.heard(f)
		}
		p.Drained()
	}
}

// heard records a frame, but for SETTINGS and WINDOW_UPDATE.
func (p *peer) heard(f http2.Frame) {
	id, end := f.Header().StreamID, ""
	switch f.Header().Type {
	case http2.FrameData, http2.FrameHeaders:
		if f.Header().Flags.Has(http2.FlagDataEndStream) {
			end = " end"
		}
	}
	switch f := f.(type) {
	case *http2.GoAwayFrame:
		p.said = append(p.said, fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode))
	case *http2.RSTStreamFrame:
		p.said = append(p.said, fmt.Sprintf("RST %d %v", id, f.ErrCode))
	case *http2.PingFrame:
		p.said = append(p.said, fmt.Sprintf("PING %v", f.IsAck()))
	case *http2.DataFrame:
		p.said = append(p.said, fmt.Sprintf("DATA %d %d%s", id, len(f.Data()), end))
	case *http2.MetaHeadersFrame:
		p.said = append(p.said, fmt.Sprintf("HEADERS %d %s%s", id, f.PseudoValue("status")+f.PseudoValue("path"), end))
	}
}
