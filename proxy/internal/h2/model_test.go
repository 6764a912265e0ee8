package h2

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
)

// half is one direction of a stream in the model: what its writer has given, and how much its reader has seen.
type half struct {
	pending   int // bytes that are still to be written
	written   int // bytes that WriteData has taken
	read      int
	unowed    int  // bytes that were read and not credited
	end       bool // no more will be pending
	trailers  bool // the end are trailers
	endSent   bool
	endGotten bool
}

// exchanged is a stream of the model, which both ends know by its id.
type exchanged struct {
	id       uint32
	up, down half
	a, b     *Stream // nil once an end may not use them any more
	aReset   bool    // the end has been told, or has reset it itself
	bReset   bool
}

// content is that of a half, from byte i on.
func content(id uint32, i, n int) []byte {
	start := (int(id)*37 + i) % 256
	return allContent[start : start+n]
}

var allContent = func() []byte {
	b := make([]byte, 4<<20)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}()

// model has both roles talk to each other. Each end holds the machine to its promises in the handler's methods.
type model struct {
	t       *rapid.T
	a, b    side
	streams map[uint32]*exchanged
	ids     []uint32
	draw    func(most int) int // for what handlers do
	free    bool               // all is credited at once
}

// modelEnd is the Handler of one end.
type modelEnd struct {
	m      *model
	client bool
}

func (e modelEnd) stream(s *Stream) *exchanged {
	x := e.m.streams[s.ID]
	mine := x.b
	if e.client {
		mine = x.a
	}
	if mine != s || s.User != x {
		e.m.t.Fatalf("a call with stream %d of client %v, which has ended, or is another", s.ID, e.client)
	}
	return x
}

// in and out are the halves that an end reads and writes.
func (e modelEnd) in(x *exchanged) *half {
	if e.client {
		return &x.down
	}
	return &x.up
}

func (e modelEnd) out(x *exchanged) *half {
	if e.client {
		return &x.up
	}
	return &x.down
}

// forget does so when both halves are done with.
func (e modelEnd) forget(x *exchanged) {
	if e.in(x).endGotten && e.out(x).endSent {
		e.drop(x)
	}
}

func (e modelEnd) drop(x *exchanged) {
	if e.client {
		x.a = nil
	} else {
		x.b = nil
	}
}

func (e modelEnd) gotEnd(x *exchanged, trailers bool) {
	h := e.in(x)
	if h.endGotten || !h.endSent || h.read != h.written || h.trailers != trailers {
		e.m.t.Fatalf("stream %d: an end (trailers %v) of %+v", x.id, trailers, *h)
	}
	h.endGotten = true
}

func (e modelEnd) Request(s *Stream, r *Request, end bool) {
	x := e.m.streams[s.ID]
	if x == nil || x.b != nil || r.Path != fmt.Sprint("/", s.ID) {
		e.m.t.Fatalf("request %q on stream %d: %+v", r.Path, s.ID, x)
	}
	x.b, s.User = s, x
	if end {
		e.gotEnd(x, false)
	}
	if e.m.draw(3) == 0 {
		e.answer(x)
	}
	if x.b != nil && e.m.draw(10) == 0 {
		e.reset(x)
	}
}

func (e modelEnd) Oversized(s *Stream, err error) { e.m.t.Fatalf("stream %d: %v", s.ID, err) }

func (e modelEnd) Response(s *Stream, status int, f h1.Fields, end bool) {
	x := e.stream(s)
	if x.down.read > 0 || len(f) != 1 || f[0].Value != fmt.Sprint(s.ID) || status != 200 && status != 103 {
		e.m.t.Fatalf("response %d %v to stream %d: %+v", status, f, s.ID, x)
	}
	if end {
		e.gotEnd(x, false)
		e.forget(x)
	}
}

func (e modelEnd) Data(s *Stream, p []byte, end bool) {
	x := e.stream(s)
	h := e.in(x)
	if !bytes.Equal(p, content(x.id, h.read, len(p))) {
		e.m.t.Fatalf("stream %d: content is wrong from byte %d on", x.id, h.read)
	}
	h.read += len(p)
	h.unowed += len(p)
	if h.read > h.written || h.endGotten {
		e.m.t.Fatalf("stream %d: %d bytes too many: %+v", x.id, len(p), *h)
	}
	if end {
		e.gotEnd(x, false)
	}
	if e.m.free || e.m.draw(4) == 0 {
		s.Credit(h.unowed)
		h.unowed = 0
	}
	switch e.m.draw(8) {
	case 1:
		e.reset(x)
		return
	case 2:
		if !e.m.free && !e.out(x).end && s.headSent {
			e.write(x, 50)
		}
	}
	e.forget(x)
}

func (e modelEnd) Trailers(s *Stream, f h1.Fields) {
	x := e.stream(s)
	if len(f) != 1 || f[0].Name != "x-end" {
		e.m.t.Fatalf("trailers %v", f)
	}
	e.gotEnd(x, true)
	e.forget(x)
}

func (e modelEnd) Reset(s *Stream, code Code) {
	x := e.stream(s)
	if other := [2]bool{x.aReset, x.bReset}; code != Cancel || other == [2]bool{} {
		e.m.t.Fatalf("stream %d was reset by nobody: %v", x.id, code)
	}
	e.drop(x)
}

func (e modelEnd) Writable(s *Stream) {
	x := e.stream(s)
	if e.out(x).pending == 0 {
		e.m.t.Fatalf("stream %d may write, and has nothing to", x.id)
	}
	before := e.out(x).written
	e.write(x, 0)
	if e.out(x).written == before {
		e.m.t.Fatalf("stream %d may write, and nothing was taken", x.id)
	}
	e.forget(x)
}

func (e modelEnd) Settings() {}

func (e modelEnd) GoAway(uint32, Code) { e.m.t.Fatal("GOAWAY") }

// reset is by the end's own wish.
func (e modelEnd) reset(x *exchanged) {
	s := x.b
	if e.client {
		s = x.a
		x.aReset = true
	} else {
		x.bReset = true
	}
	s.Reset(Cancel)
	e.drop(x)
}

// write gives n bytes more to the machine, behind what is pending.
func (e modelEnd) write(x *exchanged, n int) {
	h, s := e.out(x), x.b
	if e.client {
		s = x.a
	}
	h.pending += n
	took := s.WriteData(content(x.id, h.written, h.pending), h.end && !h.trailers)
	h.written += took
	h.pending -= took
	if h.end && h.pending == 0 {
		h.endSent = true // before anything follows from it
		if h.trailers {
			s.WriteTrailers(h1.Fields{{Name: "X-End", Value: "1"}})
		}
	}
}

// answer sends the head, once.
func (e modelEnd) answer(x *exchanged) {
	if x.b == nil || x.b.headSent {
		return
	}
	f := h1.Fields{{Name: "X-Id", Value: fmt.Sprint(x.id)}}
	if e.m.draw(2) == 0 {
		x.b.WriteHead(103, f, false)
	}
	x.b.WriteHead(200, f, false)
}

// finish says that no more is pending than that.
func (e modelEnd) finish(x *exchanged) {
	h := e.out(x)
	if h.end {
		return
	}
	h.end = true
	h.trailers = e.m.draw(2) == 0
	e.write(x, 0)
	e.forget(x)
}

func TestBothRolesAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, streams: map[uint32]*exchanged{}}
		draws := rapid.SliceOfN(rapid.IntRange(0, 1<<20), 1, 50).Draw(t, "what handlers do")
		n := 0
		m.draw = func(most int) int {
			n++
			return (draws[n%len(draws)] + n) % most
		}
		window := rapid.SampledFrom([]int32{1, 10, 100, 1000, 65535, 1 << 20})
		spare := &Spare{}
		ac, bc := clientConfig, serverConfig
		ac.StreamWindow, bc.StreamWindow = window.Draw(t, "client's window"), window.Draw(t, "server's window")
		ac.ConnWindow, bc.ConnWindow = initialWindow, initialWindow+window.Draw(t, "more of the connection's")
		ac.MaxOut, bc.MaxOut = rapid.IntRange(1, 1<<16).Draw(t, "client's output"), rapid.IntRange(1, 1<<16).Draw(t, "server's output")
		ac.Spare, bc.Spare = spare, spare
		now := time.Time{}
		ac.Now = func() time.Time { // windows of a byte need many frames
			now = now.Add(renewal)
			return now
		}
		bc.Now = ac.Now
		bc.MaxStreams = uint32(rapid.IntRange(1, 100).Draw(t, "streams"))
		client, server := modelEnd{m, true}, modelEnd{m, false}
		m.a.init(ac, client)
		m.b.init(bc, server)
		settle(&m.a, &m.b) // so that no stream is refused
		one := func(live func(*exchanged) bool) *exchanged {
			ids := slices.DeleteFunc(slices.Clone(m.ids), func(id uint32) bool { return !live(m.streams[id]) })
			if len(ids) == 0 {
				t.Skip("no stream")
			}
			return m.streams[rapid.SampledFrom(ids).Draw(t, "stream")]
		}
		atClient := func(x *exchanged) bool { return x.a != nil }
		atServer := func(x *exchanged) bool { return x.b != nil }
		size := rapid.IntRange(0, min(100_000, 200+10*int(min(ac.StreamWindow, bc.StreamWindow)))) // of small windows it takes long
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				if !m.a.CanOpen() {
					t.Skip("as many as may be")
				}
				end := rapid.Bool().Draw(t, "without content")
				id := m.a.highest + 2
				if m.a.highest == 0 {
					id = 1
				}
				x := &exchanged{id: id}
				m.streams[id] = x
				m.ids = append(m.ids, id)
				x.up.end, x.up.endSent = end, end
				x.a = m.a.Open(get(fmt.Sprint("/", id)), end)
				x.a.User = x
			},
			"client writes": func(t *rapid.T) {
				x := one(func(x *exchanged) bool { return x.a != nil && !x.up.end })
				client.write(x, size.Draw(t, "bytes"))
			},
			"client ends":    func(*rapid.T) { client.finish(one(atClient)) },
			"server answers": func(*rapid.T) { server.answer(one(atServer)) },
			"server writes": func(t *rapid.T) {
				x := one(func(x *exchanged) bool { return x.b != nil && x.b.headSent && !x.down.end })
				server.write(x, size.Draw(t, "bytes"))
			},
			"server ends": func(*rapid.T) {
				server.finish(one(func(x *exchanged) bool { return x.b != nil && x.b.headSent }))
			},
			"client credits": func(*rapid.T) {
				x := one(atClient)
				x.a.Credit(x.down.unowed)
				x.down.unowed = 0
			},
			"server credits": func(*rapid.T) {
				x := one(atServer)
				x.b.Credit(x.up.unowed)
				x.up.unowed = 0
			},
			"client resets": func(*rapid.T) { client.reset(one(atClient)) },
			"server resets": func(*rapid.T) { server.reset(one(atServer)) },
			"to server":     func(t *rapid.T) { moveSome(&m.a, &m.b, rapid.IntRange(0, len(m.a.out)).Draw(t, "bytes")) },
			"to client":     func(t *rapid.T) { moveSome(&m.b, &m.a, rapid.IntRange(0, len(m.b.out)).Draw(t, "bytes")) },
			"": func(t *rapid.T) {
				if m.a.errs != nil || m.b.errs != nil {
					t.Fatalf("broken: %v, %v", m.a.errs, m.b.errs)
				}
			},
		})
		m.complete(client, server)
	})
}

// complete has everything go on to its end.
func (m *model) complete(client, server modelEnd) {
	m.free = true
	rounds := 0
	for left := true; left; {
		settle(&m.a, &m.b)
		left = false
		for _, id := range m.ids {
			x := m.streams[id]
			if x.a != nil {
				left = true
				x.a.Credit(x.down.unowed)
				x.down.unowed = 0
				if client.finish(x); x.a == nil {
					continue
				}
			}
			if x.b != nil {
				left = true
				server.answer(x)
				x.b.Credit(x.up.unowed)
				x.up.unowed = 0
				server.finish(x)
			}
		}
		if rounds++; rounds > 100 {
			break
		}
	}
	settle(&m.a, &m.b)
	for _, x := range m.streams {
		if x.a != nil || x.b != nil || !x.aReset && !x.bReset && !(x.up.endGotten && x.down.endGotten) {
			m.t.Fatalf("stream %d doesn't end: %+v", x.id, *x)
		}
	}
	if m.a.Streams()+m.b.Streams() > 0 || m.a.errs != nil || m.b.errs != nil {
		m.t.Fatalf("%d and %d streams are left; %v, %v", m.a.Streams(), m.b.Streams(), m.a.errs, m.b.errs)
	}
}
