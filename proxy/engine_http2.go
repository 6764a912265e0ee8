package proxy

import (
	"runtime"
	"time"

	"github.com/sluice-proxy/sluice/proxy/internal/h2"
)

// startShards starts the event loops. One per two CPUs is best where others use the same CPUs: more make smaller batches.
func (e *Engine) startShards() error {
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		s, err := newShard(e)
		if err != nil {
			return err
		}
		e.shards = append(e.shards, s)
	}
	return nil
}

// serveHTTP2 gives a connection on which HTTP/2 has begun to a shard.
func (e *Engine) serveHTTP2(from *client) {
	c := &clientConn{remote: from.remote, peer: from.peer, tls: from.tls}
	e.mu.Lock()
	c.booking, from.booking = from.booking, booking{}
	c.http2 = e.bookLocked(&e.http2, c.payer)
	if e.closed.Load() || !c.http2 {
		e.unbookLocked(&c.booking)
		e.mu.Unlock()
		from.conn.Close()
		if !c.http2 {
			e.tellCrowded(from.remote, &e.http2)
		}
		return
	}
	e.streams[c] = struct{}{}
	s := e.shards[e.nextShard%len(e.shards)]
	e.nextShard++
	c.s = s
	c.born = max(1, e.since(time.Now()))
	e.mu.Unlock()
	e.stacks.n.Add(1)
	s.loop.Post(func() { s.serveHTTP2(c, from.conn, from.handed.prefix) })
}

// forgetHTTP2 takes such a connection out of the engine's care.
func (e *Engine) forgetHTTP2(c *clientConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, c)
	e.unbookLocked(&c.booking)
}

// yieldLocked ends the connection, if it still is idle.
func (c *clientConn) yieldLocked(since int64) bool {
	if !c.idle.CompareAndSwap(since, 0) {
		return false
	}
	c.s.loop.Post(func() {
		if c.open > 0 {
			c.leave() // a request has come meanwhile
			return
		}
		c.close(h2.NoError)
	})
	had := c.conns
	c.s.e.unbookLocked(&c.booking)
	return had
}

// drainShards tells the clients of HTTP/2 to go, in a Shutdown.
func (e *Engine) drainShards() {
	for _, s := range e.shards {
		s.loop.Post(func() {
			s.draining = true
			for c := s.clients.first; c != nil; c = c.next {
				c.leave()
			}
		})
	}
}

// endShards ends the requests of HTTP/2 with err.
func (e *Engine) endShards(err *Error) {
	for _, s := range e.shards {
		s.loop.Do(func() {
			var all []*call // to end one may move its connection within the list
			for c := s.clients.first; c != nil; c = c.next {
				for t := range c.h2.All() {
					if x, ok := t.User.(*call); ok {
						all = append(all, x)
					}
				}
			}
			for _, x := range all {
				x.end(err)
			}
		})
	}
}

// closeShards ends what is left.
func (e *Engine) closeShards() {
	e.cancelDials()
	for _, s := range e.shards {
		s.loop.Do(func() {
			for c := s.clients.first; c != nil; c = s.clients.first {
				c.end(nil)
			}
			s.upstreams.close()
		})
	}
}
