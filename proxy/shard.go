package proxy

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h1"
	"github.com/sluice-proxy/sluice/proxy/internal/h2"
	"github.com/sluice-proxy/sluice/proxy/internal/loop"
)

// shard is what one event loop runs: connections of clients and of upstreams, and the calls between them. All of it is used in the
// loop's turns only.
type shard struct {
	e         *Engine
	h         *Handler
	loop      *loop.Loop
	clients   list[clientConn, *clientConn] // of HTTP/2, the longest idle first
	leaving   []*clientConn                 // of them, those that have been told to go
	partials  []*clientConn                 // that may have a partial head, by when they are looked at
	draining  bool                          // all are
	upstreams upstreams
	deadlines deadlines
	due       []*call // that go on in this turn
	running   []*call // due, while they are run
	unused    []*call
	scratch   h1.Fields
	spare     h2.Spare
	blocks    blocks
}

// maxUnused bounds the calls that are kept for the next requests.
const maxUnused = 1000

func newShard(e *Engine) (*shard, error) {
	s := &shard{e: e, h: e.h}
	s.deadlines.s = s
	s.upstreams.init(s)
	l, err := loop.New(loop.Config{Turn: s.turn, Tick: s.tick, Panicked: func(v any, stack []byte) { e.log.Printf("proxy: panic: %v\n%s", v, stack) }})
	s.loop = l
	return s, err
}

// call takes one that is not in use.
func (s *shard) call() *call {
	if n := len(s.unused); n > 0 {
		c := s.unused[n-1]
		s.unused = s.unused[:n-1]
		return c
	}
	c := &call{s: s, up: relay{spare: &s.blocks}, down: relay{spare: &s.blocks}}
	c.req.ex = c
	return c
}

// free gives one back.
func (s *shard) free(c *call) {
	c.up.more.drop(&s.blocks)
	c.down.more.drop(&s.blocks)
	if conn := c.stream.c; conn != nil {
		conn.hold(-c.holds)
		c.holds, c.stream.c = 0, nil
	}
	if c.queued || len(s.unused) >= maxUnused {
		return // whoever has it in a list finds it ended
	}
	clear(c.fields)
	*c = call{
		s: s, fields: c.fields[:0],
		up:   relay{buf: c.up.small(), trail: c.up.trail, spare: &s.blocks},
		down: relay{buf: c.down.small(), trail: c.down.trail, spare: &s.blocks},
	}
	c.req.ex = c
	s.unused = append(s.unused, c)
}

// ready has a call go on later in this turn, or in the next.
func (s *shard) ready(c *call) {
	if !c.queued {
		c.queued = true
		s.due = append(s.due, c)
	}
}

// turn runs the calls that are due. Those whose heads have been read in this turn begin here, so that a request which is cancelled
// with the bytes that it came with is never seen by a policy.
func (s *shard) turn() {
	for len(s.due) > 0 {
		s.due, s.running = s.running[:0], s.due
		for i, c := range s.running {
			s.running[i] = nil
			c.queued = false
			if c.begun {
				c.proceed()
			} else {
				c.begun = true
				c.start()
			}
		}
	}
}

// tick does what the time has come for.
func (s *shard) tick(now time.Time) {
	s.deadlines.tick(now)
	s.upstreams.tick(now)
	s.closeLate(now)
	s.closeIdle(now)
}

// ownHead returns the fields of a response of the proxy's own. They are good until the next.
func (s *shard) ownHead(a *ownAnswer) h1.Fields {
	s.scratch = append(s.scratch[:0], h1.Field{Name: "Date", Value: s.loop.Now().UTC().Format(http.TimeFormat)})
	for _, f := range a.header {
		s.scratch = append(s.scratch, h1.Field{Name: f[0], Value: f[1]})
	}
	return s.scratch
}

// lengthOf is what Content-Length says; -1: there is none. It has been checked.
func lengthOf(f h1.Fields) int64 {
	if i := f.FindKind(h1.ContentLength); i >= 0 {
		if n, ok := h1.ParseLength(f[i].Value); ok {
			return n
		}
	}
	return -1
}
