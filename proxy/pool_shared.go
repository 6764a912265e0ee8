package proxy

import (
	"context"
	"errors"
	"slices"
)

// getShared returns an HTTP/2 connection with room for a stream. When all are full, or there is none, one request
// dials and the others wait for it, and share its failure. Unless it must ask again, an upstream known to speak HTTP/1.1
// only is errHTTP1Only without a dial.
func (p *pool) getShared(ctx context.Context, key upstreamKey, ask bool) (c *conn, reused bool, err error) {
	for {
		p.mu.Lock()
		var shared []*conn
		var d *dial
		if h := p.upstreams[key]; h != nil {
			shared, d = h.shared, h.dialing
		}
		p.mu.Unlock()
		for _, c := range shared { // not under the lock, which forget takes
			if c.Reserve() == nil {
				return c, c.used.Swap(true), nil
			}
		}
		if d != nil {
			select {
			case <-d.done:
			case <-ctx.Done():
				return nil, false, context.Cause(ctx)
			}
			if d.err != nil && !d.abandoned {
				return nil, false, d.err
			}
			continue
		}
		if err := p.dialShared(ctx, key, ask); err != nil {
			return nil, false, err
		}
	}
}

// dialShared adds an HTTP/2 connection, unless somebody else is at it.
func (p *pool) dialShared(ctx context.Context, key upstreamKey, ask bool) error {
	h := p.ref(key)
	p.mu.Lock()
	if h.dialing != nil {
		p.mu.Unlock()
		p.unref(h)
		return nil
	}
	d := &dial{done: make(chan struct{})}
	h.dialing = d
	p.mu.Unlock()

	var c *conn
	err := error(errHTTP1Only)
	if ask || !p.http1Only.has(key) { // it may have been found out since the caller looked
		if c, err = p.dial(ctx, h); errors.Is(err, errHTTP1Only) {
			p.http1Only.add(key)
		}
	}
	p.mu.Lock()
	h.dialing = nil
	if err == nil {
		h.shared = append(slices.Clone(h.shared), c)
	}
	d.err, d.abandoned = err, ctx.Err() != nil
	close(d.done)
	p.mu.Unlock()
	if err != nil {
		p.unref(h)
		return err
	}
	c.link.whenClosed(func() { p.forget(c) })
	return nil
}

// putShared closes a connection that the pool has given up, after its last request.
func (p *pool) putShared(c *conn) {
	p.mu.Lock()
	kept := slices.Contains(c.upstream.shared, c)
	p.mu.Unlock()
	if !kept && c.InFlight() == 0 {
		c.Close()
	}
}

// forget removes an HTTP/2 connection that has ended.
func (p *pool) forget(c *conn) {
	p.mu.Lock()
	i := slices.Index(c.upstream.shared, c)
	if i >= 0 {
		c.upstream.shared = slices.Delete(slices.Clone(c.upstream.shared), i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		p.unref(c.upstream)
	}
}
