package h2

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// dull is a Handler that does something with everything, decided by a byte of the input in turn.
type dull struct {
	c     *Conn
	by    []byte
	n     int
	open  map[*Stream]uint32
	large []byte
	t     *testing.T
}

func (d *dull) draw(most int) int {
	if len(d.by) == 0 {
		return 0
	}
	d.n++
	return int(d.by[d.n%len(d.by)]) % most
}

// check fails for a stream that isn't open.
func (d *dull) check(s *Stream) {
	if id, ok := d.open[s]; !ok || id != s.ID || s.closed {
		d.t.Fatalf("a call with stream %d, which isn't open", s.ID)
	}
}

// act has a stream do something, after which it may have ended.
func (d *dull) act(s *Stream) {
	switch d.draw(10) {
	case 0:
		s.Reset(Cancel)
	case 1:
		s.WriteHead(200, h1.Fields{{Name: "A", Value: "b"}}, d.draw(2) == 0)
	case 2, 3:
		s.WriteData(d.large[:d.draw(250)*100], d.draw(2) == 0)
	case 4:
		s.WriteTrailers(h1.Fields{{Name: "A", Value: "b"}})
	case 5:
		for _, other := range d.c.streams {
			other.Reset(InternalError)
			break
		}
	case 6:
		d.c.Shutdown()
	case 7:
		if x := d.c.Open(get("/"), d.draw(2) == 0); x != nil {
			d.open[x] = x.ID
		}
	}
}

// forget drops the streams that have ended, before they can become others.
func (d *dull) forget() {
	maps.DeleteFunc(d.open, func(s *Stream, _ uint32) bool { return s.closed })
}

func (d *dull) Request(s *Stream, r *Request, _ bool) {
	if d.open[s] != 0 || r.Method == "" || r.Authority == "" {
		d.t.Fatalf("request %+v on a stream that is open", r)
	}
	d.open[s] = s.ID
	d.act(s)
}

func (d *dull) Oversized(s *Stream, _ error) {
	d.open[s] = s.ID
	s.WriteHead(431, nil, true)
}

func (d *dull) Response(s *Stream, _ int, _ h1.Fields, _ bool) { d.check(s); d.act(s) }

func (d *dull) Data(s *Stream, p []byte, _ bool) {
	d.check(s)
	s.Credit(len(p))
	d.act(s)
}

func (d *dull) Trailers(s *Stream, _ h1.Fields) { d.check(s); d.act(s) }

func (d *dull) Reset(s *Stream, _ Code) {
	if d.open[s] != s.ID || !s.closed {
		d.t.Fatalf("reset of stream %d, which isn't open", s.ID)
	}
	delete(d.open, s)
}

func (d *dull) Writable(s *Stream) {
	d.check(s)
	d.act(s)
}

func (d *dull) Settings()           {}
func (d *dull) GoAway(uint32, Code) {}

func FuzzServer(f *testing.F) { fuzz(f, serverConfig, serverRules) }

func FuzzClient(f *testing.F) { fuzz(f, clientConfig, clientRules) }

// fuzz gives any bytes to an end, in pieces: it doesn't panic, holds little, keeps the promises of Handler, and what it says is
// HTTP/2. The first byte is the size of the pieces, and of what is read of its output.
func fuzz(f *testing.F, cfg Config, rules []rule) {
	cfg.MaxOut = 1 << 14
	cfg.MaxHead = 1 << 12
	for _, r := range rules {
		p := &peer{t: new(testing.T)}
		p.prepare()
		p.init(cfg, &calls{})
		if cfg.Client {
			p.Open(get("/"), false)
		}
		p.check(p.WriteSettings())
		r.do(p)
		if p.sent.Len() < 20_000 {
			f.Add(append([]byte{byte(len(r.about))}, p.sent.Bytes()...))
		}
	}
	large := make([]byte, 25_000)
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 {
			return
		}
		size := int(input[0]) + 1
		var e side
		d := &dull{c: &e.Conn, by: input, open: map[*Stream]uint32{}, large: large, t: t}
		e.init(cfg, d)
		said := []byte(nil)
		take := func(n int) {
			said = append(said, e.out[:n]...)
			e.out = e.out[:copy(e.out, e.out[n:])]
			if len(e.out) == 0 {
				e.Drained()
				d.forget()
			}
		}
		if cfg.Client {
			take(len(Preface))
			said = said[:0]
			s := e.Open(get("/"), true)
			d.open[s] = s.ID
			s = e.Open(get("/"), false)
			d.open[s] = s.ID
			input = input[1:]
		} else {
			input = append([]byte(Preface), input[1:]...)
		}
		for broken := false; len(input) > 0 && !broken; {
			n := min(len(input), size)
			e.rest = append(e.rest, input[:n]...)
			input = input[n:]
			n, err := e.Input(e.rest)
			e.rest = e.rest[n:]
			broken = err != nil
			d.forget()
			if len(e.rest) > frameHeader+maxFrame && !e.Blocked() {
				t.Fatalf("%d bytes are left", len(e.rest))
			}
			if most := 2*cfg.MaxOut + 40_000; len(e.out) > most || cap(e.block.compressed) > 200_000 {
				t.Fatalf("%d bytes of output", len(e.out))
			}
			if e.Streams() != len(d.open) && !broken {
				t.Fatalf("%d streams, should be %d", e.Streams(), len(d.open))
			}
			take(min(len(e.out), size*d.draw(20)))
		}
		e.Abandon(Cancel)
		if len(d.open) > 0 {
			t.Fatalf("%d streams never end", len(d.open))
		}
		take(len(e.out))
		fr := http2.NewFramer(io.Discard, bytes.NewReader(said))
		for {
			if _, err := fr.ReadFrame(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("it said what x/net doesn't take: %v", err)
			}
		}
	})
}
