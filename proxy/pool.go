package proxy

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// pool keeps a Handler's connections to upstreams. It makes them with http.Transport.NewClientConn and not with Transport's
// own pool, because that one sends a request again by itself, uncounted, and does not tell what it did.
type pool struct {
	*idlePool[conn, *conn]
	http1Only origins
}

// conn is a connection to an upstream.
type conn struct {
	*http.ClientConn
	link    *link
	connect time.Duration // that its dial and handshake took
	used    atomic.Bool   // HTTP/2: has carried a request
	idle[conn]
}

// dial is one in progress that others wait for.
type dial struct {
	done      chan struct{}
	err       error
	abandoned bool // the request that made it has ended: err says nothing of the upstream
}

func newPool(cfg *Config) *pool { return &pool{idlePool: newIdlePool[conn](cfg)} }

// get returns a connection with room for one request, reserved. It blocks on a dial, which ctx ends.
func (p *pool) get(ctx context.Context, key upstreamKey, n needs) (c *conn, reused bool, err error) {
	if key.proto != HTTP1 {
		return p.getShared(ctx, key, n.grpc)
	}
	for {
		c := p.take(key, time.Now(), n.repeatable)
		if c == nil {
			break
		}
		if c.Reserve() == nil {
			return c, true, nil
		}
		p.drop(c)
	}
	h := p.ref(key)
	c, err = p.dial(ctx, h)
	if err != nil {
		p.unref(h)
		return nil, false, err
	}
	if err := c.Reserve(); err != nil {
		p.drop(c)
		return nil, false, &Error{Reason: UpstreamClosed, Err: err}
	}
	return c, false, nil
}

// put gives a connection back after a request; it is kept when it can take another.
func (p *pool) put(c *conn, keep time.Duration) {
	switch {
	case c.shared():
		p.putShared(c)
	case c.Available() == 0, !c.link.usable():
		p.drop(c)
	default:
		p.give(c, time.Now(), keep)
	}
}

// shared says that it is one of HTTP/2.
func (c *conn) shared() bool { return c.upstream.key.proto != HTTP1 }

func (c *conn) quiet() bool { return c.link.quiet() }
func (c *conn) shut()       { c.Close() }

func (p *pool) close() {
	p.idlePool.close()
	p.mu.Lock()
	var shared []*conn
	for _, h := range p.upstreams {
		shared = append(shared, h.shared...)
		h.shared = nil
	}
	p.mu.Unlock()
	for _, c := range shared { // not under the lock, which forget takes
		if c.InFlight() == 0 {
			p.drop(c)
		}
	}
}
