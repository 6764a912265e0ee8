package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"
)

// hopPool keeps an Engine's unused connections to hops.
type hopPool struct {
	cfg     *Config
	inbox   *sync.Pool
	heads   *headCache
	buffers *sync.Pool // of *[copyBuffer]byte
	mu      sync.Mutex
	lines   map[hopKey]*hopLine
	idle    idleList[hopConn, *hopConn]
	rounds  *time.Timer // runs while idle is not empty
	closed  bool
}

// hopLine is what there is of connections to one hop. It goes when the last of them does, and the TLS configuration with
// it.
type hopLine struct {
	key  hopKey
	refs int        // connections and dials
	idle []*hopConn // the last used at the end
}

// roundEvery is how often unused connections are looked at, for their end.
const roundEvery = time.Second

// get takes an unused connection; nil when there is none. Each is looked at, however short a while it was unused: bytes that
// have come meanwhile would be taken for the answer to the next request, somebody else's perhaps.
func (p *hopPool) get(key hopKey, now time.Time) *hopConn {
	for {
		p.mu.Lock()
		l := p.lines[key]
		if l == nil || len(l.idle) == 0 {
			p.mu.Unlock()
			return nil
		}
		c := l.idle[len(l.idle)-1]
		p.takeLocked(c)
		p.mu.Unlock()
		if !c.expired(now, p.cfg.IdleConnTimeout) && c.quiet() {
			return c
		}
		p.drop(c)
	}
}

// dial makes a connection. It blocks; ctx ends that.
func (p *hopPool) dial(ctx context.Context, key hopKey) (*hopConn, error) {
	l := p.ref(key)
	c, err := p.connect(ctx, key)
	if err != nil {
		p.unref(l)
		return nil, err
	}
	hc := &hopConn{Conn: c, line: l, plain: key.tls == nil, in: inbox{pool: p.inbox}, heads: p.heads, buffers: p.buffers}
	hc.stepper, hc.reader, hc.peeker = hc.step, hc.readStep, hc.look
	if t, ok := c.(*tls.Conn); ok && !hc.plain {
		c = t.NetConn()
	}
	if sc, ok := c.(syscall.Conn); ok {
		hc.sock, _ = sc.SyscallConn()
	}
	hc.plain = hc.plain && hc.sock != nil
	return hc, nil
}

func (p *hopPool) connect(ctx context.Context, key hopKey) (net.Conn, error) {
	within, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	c, err := p.cfg.Dial(within, "tcp", key.addr)
	if err != nil {
		return nil, dialError(ctx, &madeLink{err: err}, err)
	}
	if key.tls == nil {
		return c, nil
	}
	config := key.tls.Clone()
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(key.addr)
	}
	t := tls.Client(c, config)
	handshake, done := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer done()
	if err := t.HandshakeContext(handshake); err != nil {
		c.Close()
		return nil, dialError(ctx, new(madeLink), err)
	}
	return t, nil
}

// put gives a connection back that can take another request.
func (p *hopPool) put(c *hopConn, now time.Time, keep time.Duration) {
	c.since, c.keep = now, keep
	p.mu.Lock()
	if p.closed || len(c.line.idle) >= p.cfg.MaxIdleConnsPerHost {
		p.mu.Unlock()
		p.drop(c)
		return
	}
	c.line.idle = append(c.line.idle, c)
	p.idle.push(c)
	var oldest *hopConn
	if p.idle.n > p.cfg.MaxIdleConns {
		oldest = p.idle.oldest
		p.takeLocked(oldest)
	}
	if p.rounds == nil {
		p.rounds = time.AfterFunc(roundEvery, p.round)
	}
	p.mu.Unlock()
	if oldest != nil {
		p.drop(oldest)
	}
}

// drop closes a connection that is in no list.
func (p *hopPool) drop(c *hopConn) {
	c.Conn.Close()
	c.in.drop()
	p.unref(c.line)
}

// takeLocked removes c from the lists; it is mostly the last of its line.
func (p *hopPool) takeLocked(c *hopConn) {
	idle := c.line.idle
	for i := len(idle) - 1; i >= 0; i-- {
		if idle[i] == c {
			copy(idle[i:], idle[i+1:])
			idle[len(idle)-1] = nil
			c.line.idle = idle[:len(idle)-1]
			break
		}
	}
	p.idle.remove(c)
}

// round closes what has been unused for too long, and what its hop has closed.
func (p *hopPool) round() {
	var old []*hopConn
	p.mu.Lock()
	now := time.Now()
	for c := p.idle.oldest; c != nil; {
		next := c.next
		if c.expired(now, p.cfg.IdleConnTimeout) || !c.quiet() {
			p.takeLocked(c)
			old = append(old, c)
		}
		c = next
	}
	p.rounds = nil
	if p.idle.oldest != nil && !p.closed {
		p.rounds = time.AfterFunc(roundEvery, p.round)
	}
	p.mu.Unlock()
	for _, c := range old {
		p.drop(c)
	}
}

func (p *hopPool) close() {
	var all []*hopConn
	p.mu.Lock()
	p.closed = true
	if p.rounds != nil {
		p.rounds.Stop()
	}
	for c := p.idle.oldest; c != nil; c = p.idle.oldest {
		p.takeLocked(c)
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		p.drop(c)
	}
}

// ref finds or makes the line of a hop, and counts a connection to it.
func (p *hopPool) ref(key hopKey) *hopLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[key]
	if l == nil {
		l = &hopLine{key: key}
		p.lines[key] = l
	}
	l.refs++
	return l
}

func (p *hopPool) unref(l *hopLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.refs--; l.refs == 0 && p.lines[l.key] == l {
		delete(p.lines, l.key)
	}
}
