package proxy

import (
	"context"
	"crypto/tls"
	"sync"
	"syscall"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// upstreamPool keeps an Engine's connections to upstreams, HTTP/1.1 on them.
type upstreamPool struct {
	*idlePool[upstreamConn, *upstreamConn]
	readBuffer *sync.Pool
	heads      *headCache
	buffers    *sync.Pool // of *[copyBuffer]byte
}

// dial makes a connection. It blocks; ctx ends that.
func (p *upstreamPool) dial(ctx context.Context, key upstreamKey) (*upstreamConn, error) {
	h := p.ref(key)
	c, err := dialUpstream(ctx, p.cfg, key)
	if err != nil {
		p.unref(h)
		return nil, err
	}
	hc := &upstreamConn{Conn: c, plain: netio.Socket(c) != nil, idle: idle[upstreamConn]{upstream: h}, in: readBuffer{pool: p.readBuffer}, heads: p.heads, buffers: p.buffers}
	hc.stepper, hc.reader, hc.peeker = hc.step, hc.readStep, hc.look
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if sc, ok := c.(syscall.Conn); ok {
		hc.sock, _ = sc.SyscallConn()
	}
	return hc, nil
}
