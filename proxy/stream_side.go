package proxy

import (
	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/h2"
	"github.com/sluice-proxy/sluice/proxy/internal/loop"
)

// streamSide is what the ends of calls that are streams of HTTP/2 have in common, at clients and at upstreams.
type streamSide struct {
	on             streamConn
	s              *h2.Stream // nil: it has ended
	x              *call      // nil: there is only an answer
	received, sent bool       // the end of what comes, and of what goes
	passed         window
}

// streamConn is a connection of HTTP/2 with streams of calls.
type streamConn interface {
	driver() *loop.Conn
	// window is what a stream may send ahead of what has gone on, at most.
	window() int
	// streamEnds is called at the end of each stream with a call, and of each that is only answered.
	streamEnds()
}

// forget lets go of a stream that has ended, which may be another request's soon.
func (t *streamSide) forget() {
	if t.s != nil {
		t.s.User, t.s = nil, nil
		t.on.streamEnds()
	}
}

// receive notes the end of what comes.
func (t *streamSide) receive(end bool) {
	if t.received = t.received || end; t.received && t.sent {
		t.forget()
	}
}

// send notes the end of what goes.
func (t *streamSide) send(end bool) {
	if t.sent = t.sent || end; t.received && t.sent {
		t.forget()
	}
}

// data implements taker. It sends in between what the connection takes at once.
func (t *streamSide) data(p []byte, end bool) (n int) {
	if t.s == nil {
		return len(p)
	}
	c := t.on.driver()
	for {
		c.Out()
		k := t.s.WriteData(p[n:], end)
		if n += k; n == len(p) || k == 0 || !c.Full() {
			break
		}
		c.Flush()
	}
	if t.x != nil && n > 0 {
		t.x.s.deadlines.touch(t.x)
	}
	t.send(end && n == len(p))
	return n
}

// trailers implements taker.
func (t *streamSide) trailers(f h1.Fields) {
	if t.s != nil {
		t.on.driver().Out()
		t.s.WriteTrailers(f)
		t.send(true)
	}
}

// credit implements giver.
func (t *streamSide) credit(n, held int) {
	if t.s != nil {
		t.on.driver().Out()
		t.passed.passes(t.s, n, held, t.on.window())
	}
}
