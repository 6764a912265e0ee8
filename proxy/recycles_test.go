package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

// unusedConn is a connection for an idlePool, and nothing else.
type unusedConn struct {
	closed bool
	idle[unusedConn]
}

func (c *unusedConn) quiet() bool { return true }
func (c *unusedConn) shut()       { c.closed = true }

// TestF16RecyclingIsRemembered: after an upstream has closed a connection as it was used again, requests that can't be repeated get
// none, for a while that doubles when it does so again soon after, up to ten minutes; others do. In the end it is forgotten.
func TestF16RecyclingIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{MaxIdleConns: 1 << 20, MaxIdleConnsPerHost: 1 << 20, IdleConnTimeout: 24 * time.Hour}
		p := newIdlePool[unusedConn](&c)
		defer p.close()
		key, other := upstreamKey{addr: "recycles:1", proto: HTTP1}, upstreamKey{addr: "other:1", proto: HTTP1}
		keep := func(key upstreamKey) *unusedConn {
			u := &unusedConn{idle: idle[unusedConn]{upstream: p.ref(key)}}
			p.give(u, time.Now(), 0)
			return u
		}
		fresh := func() bool {
			keep(key)
			u := p.take(key, time.Now(), false)
			if u != nil {
				p.give(u, time.Now(), 0)
			}
			return u == nil
		}
		if fresh() {
			t.Error("a fresh connection without a cause")
		}
		for _, spell := range []time.Duration{10, 20, 40, 80, 160, 320, 600, 600} {
			spell *= time.Second
			p.recycled(key, time.Now())
			time.Sleep(spell - time.Second)
			p.recycled(key, time.Now()) // as requests that can be repeated find out: it goes on
			time.Sleep(spell - time.Millisecond)
			if !fresh() {
				t.Errorf("a used connection within %v", spell)
			}
			if u := p.take(key, time.Now(), true); u == nil {
				t.Error("a request that can be repeated got none of several")
			} else {
				p.give(u, time.Now(), 0)
			}
			keep(other)
			if p.take(other, time.Now(), false) == nil {
				t.Error("another upstream is taken for it")
			}
			time.Sleep(time.Millisecond)
			if fresh() {
				t.Errorf("a fresh connection after %v", spell)
			}
		}
		time.Sleep(recyclesMost + 2*roundEvery)
		p.mu.Lock()
		n := len(p.recycles)
		p.mu.Unlock()
		if n > 0 {
			t.Error("it isn't forgotten")
		}
		p.recycled(key, time.Now())
		time.Sleep(recyclesFirst)
		if fresh() {
			t.Error("what it did long ago counts")
		}
	})
}

// TestF16AFreshConnectionReplacesAnUnusedOne: or those that can't be used would become more with each request.
func TestF16AFreshConnectionReplacesAnUnusedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{MaxIdleConns: 10, MaxIdleConnsPerHost: 10, IdleConnTimeout: time.Hour}
		p := newIdlePool[unusedConn](&c)
		defer p.close()
		key := upstreamKey{addr: "recycles:1", proto: HTTP1}
		first := &unusedConn{idle: idle[unusedConn]{upstream: p.ref(key)}}
		p.give(first, time.Now(), 0)
		p.recycled(key, time.Now())
		for range 5 {
			if p.take(key, time.Now(), false) != nil {
				t.Fatal("a used connection")
			}
			p.give(&unusedConn{idle: idle[unusedConn]{upstream: p.ref(key)}}, time.Now(), 0)
		}
		if p.idle.n != 1 || !first.closed {
			t.Errorf("%d connections are kept, the first is closed: %v", p.idle.n, first.closed)
		}
	})
}
