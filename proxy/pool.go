package proxy

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// pool keeps the connections to hops. It makes them with http.Transport.NewClientConn and not with Transport's own
// pool, because that one sends a request again by itself, uncounted, and does not tell what it did.
type pool struct {
	cfg    *Config
	mu     sync.Mutex
	hops   map[hopKey]*hopConns
	idle   idleList[conn, *conn]
	expiry *time.Timer // runs while idle is not empty
	closed bool
}

type hopKey struct {
	addr  string
	tls   *tls.Config
	proto Proto
}

// hopConns is what there is of connections to one hop. It goes when the last of them does, and the TLS configuration
// with it.
type hopConns struct {
	key       hopKey
	transport *http.Transport // makes connections, keeps none
	refs      int             // connections and dials
	idle      []*conn         // HTTP/1.1, the last used at the end
	shared    []*conn         // HTTP/2; replaced, never changed
	dialing   *dial           // HTTP/2: one at a time
}

// conn is a connection to a hop.
type conn struct {
	*http.ClientConn
	hop     *hopConns
	link    *link
	connect time.Duration // that its dial and handshake took
	used    atomic.Bool   // HTTP/2: has carried a request
	idle[conn]
}

// dial is one in progress that others wait for.
type dial struct {
	done      chan struct{}
	err       error
	abandoned bool // the request that made it has ended: err says nothing of the hop
}

func newPool(cfg *Config) *pool { return &pool{cfg: cfg, hops: make(map[hopKey]*hopConns)} }

// get returns a connection with room for one request, reserved. It blocks on a dial, which ctx ends.
func (p *pool) get(ctx context.Context, key hopKey) (c *conn, reused bool, err error) {
	if key.proto == HTTP2 {
		return p.getShared(ctx, key)
	}
	for {
		c := p.popIdle(key)
		if c == nil {
			break
		}
		if !c.expired(time.Now(), p.cfg.IdleConnTimeout) && c.link.quiet() && c.Reserve() == nil {
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

// put gives an HTTP/1.1 connection back after a request; it is kept when it can take another.
func (p *pool) put(c *conn, keep time.Duration) {
	if c.hop.key.proto == HTTP2 {
		p.putShared(c)
		return
	}
	if c.Available() == 0 {
		p.drop(c)
		return
	}
	c.since, c.keep = time.Now(), keep
	p.mu.Lock()
	if p.closed || len(c.hop.idle) >= p.cfg.MaxIdleConnsPerHost {
		p.mu.Unlock()
		p.drop(c)
		return
	}
	c.hop.idle = append(c.hop.idle, c)
	p.idle.push(c)
	var oldest *conn
	if p.idle.n > p.cfg.MaxIdleConns {
		oldest = p.idle.oldest
		p.takeLocked(oldest)
	}
	if p.expiry == nil {
		p.expiry = time.AfterFunc(p.cfg.IdleConnTimeout, p.expire)
	}
	p.mu.Unlock()
	if oldest != nil {
		p.drop(oldest)
	}
}

// drop closes a connection that is in no list any more.
func (p *pool) drop(c *conn) {
	c.Close()
	p.unref(c.hop)
}

func (p *pool) popIdle(key hopKey) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hops[key]
	if h == nil || len(h.idle) == 0 {
		return nil
	}
	c := h.idle[len(h.idle)-1]
	p.takeLocked(c)
	return c
}

// takeLocked removes c from the lists of idle connections; it is mostly the last of its hop's.
func (p *pool) takeLocked(c *conn) {
	idle := c.hop.idle
	for i := len(idle) - 1; i >= 0; i-- {
		if idle[i] == c {
			copy(idle[i:], idle[i+1:])
			idle[len(idle)-1] = nil
			c.hop.idle = idle[:len(idle)-1]
			break
		}
	}
	p.idle.remove(c)
}

// expire closes what has been idle too long, and comes again for the rest.
func (p *pool) expire() {
	var old []*conn
	p.mu.Lock()
	now := time.Now()
	for c := p.idle.oldest; c != nil && c.expired(now, p.cfg.IdleConnTimeout); c = p.idle.oldest {
		p.takeLocked(c)
		old = append(old, c)
	}
	p.expiry = nil
	if c := p.idle.oldest; c != nil && !p.closed {
		p.expiry = time.AfterFunc(c.since.Add(p.cfg.IdleConnTimeout).Sub(now), p.expire)
	}
	p.mu.Unlock()
	for _, c := range old {
		p.drop(c)
	}
}

func (p *pool) close() {
	var all []*conn
	p.mu.Lock()
	p.closed = true
	if p.expiry != nil {
		p.expiry.Stop()
	}
	for c := p.idle.oldest; c != nil; c = p.idle.oldest {
		p.takeLocked(c)
		all = append(all, c)
	}
	var shared []*conn
	for _, h := range p.hops {
		shared = append(shared, h.shared...)
		h.shared = nil
	}
	p.mu.Unlock()
	for _, c := range shared { // not under the lock, which forget takes
		if c.InFlight() == 0 {
			all = append(all, c)
		}
	}
	for _, c := range all {
		p.drop(c)
	}
}

// ref finds or makes the entry of a hop, and counts a connection to it.
func (p *pool) ref(key hopKey) *hopConns {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hops[key]
	if h == nil {
		h = &hopConns{key: key, transport: p.transport(key)}
		p.hops[key] = h
	}
	h.refs++
	return h
}

func (p *pool) unref(h *hopConns) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.refs--; h.refs == 0 && p.hops[h.key] == h {
		delete(p.hops, h.key)
	}
}
