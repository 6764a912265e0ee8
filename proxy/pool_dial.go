package proxy

import (
	"context"
	"net"
	"net/http"
	"time"
)

// transport is what makes connections to h.
func (p *pool) transport(h *upstreamConns[conn]) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.transport == nil {
		h.transport = p.newTransport(h.key)
	}
	return h.transport
}

// newTransport makes one for connections of one protocol.
func (p *pool) newTransport(key upstreamKey) *http.Transport {
	var protocols http.Protocols
	next := "http/1.1"
	switch {
	case key.proto == HTTP1:
		protocols.SetHTTP1(true)
	case key.tls != nil:
		protocols.SetHTTP2(true)
		protocols.SetHTTP1(key.proto == SameProto) // offered, at which byALPN ends it
		next = "h2"
	default:
		protocols.SetUnencryptedHTTP2(true)
	}
	config := key.tls.Clone()
	if config != nil {
		if config.NextProtos = []string{next}; key.proto == SameProto {
			byALPN(config)
		}
	}
	return &http.Transport{
		DialContext:            p.dialLink,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    p.cfg.DialTimeout,
		DisableCompression:     true,
		IdleConnTimeout:        p.cfg.IdleConnTimeout,
		ExpectContinueTimeout:  0, // upload waits: net/http never sends the body when the final answer has come first
		MaxResponseHeaderBytes: maxAnswer,
		Protocols:              &protocols,
		HTTP2: &http.HTTP2Config{
			// Enough for 1 Gbit/s at 8 ms, and no more than a slow client can make us hold.
			MaxReceiveBufferPerStream:     1 << 20,
			MaxReceiveBufferPerConnection: 4<<20 - 1,
			// No pings: gRPC's servers cut a connection whose client sends two in silence (golang/go#70575). An upstream that has
			// vanished is found out by TCP's keep-alive: see NewServer.
		},
	}
}

// dial makes a connection, for which h has been counted.
func (p *pool) dial(ctx context.Context, h *upstreamConns[conn]) (*conn, error) {
	begin := time.Now()
	made := &madeLink{plain: h.key.tls == nil && h.key.proto == HTTP1, shared: h.key.proto != HTTP1}
	if h.key.tls == nil && h.key.proto == SameProto {
		made.first = &firstBytes{done: make(chan struct{})}
	}
	scheme := "http"
	if h.key.tls != nil {
		scheme = "https"
	}
	cc, err := p.transport(h).NewClientConn(context.WithValue(ctx, madeKey{}, made), scheme, h.key.addr)
	if err != nil {
		return nil, dialError(ctx, made.link != nil, err)
	}
	if made.first != nil {
		if err := made.first.await(ctx); err != nil {
			cc.Close()
			return nil, err
		}
	}
	return &conn{ClientConn: cc, link: made.link, connect: time.Since(begin), idle: idle[conn]{upstream: h}}, nil
}

// madeLink is how dialLink tells dial, which is the caller of its caller, what it made.
type madeLink struct {
	// What it makes has no TLS, or is for HTTP/2; told now, since HTTP/2 reads as soon as there is a connection.
	plain, shared bool
	first         *firstBytes // nil: it needn't be found out what the upstream speaks
	link          *link
}
type madeKey struct{}

func (p *pool) dialLink(ctx context.Context, network, addr string) (net.Conn, error) {
	made := ctx.Value(madeKey{}).(*madeLink)
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	c, err := p.cfg.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	made.link = newLink(c)
	made.link.plain, made.link.first = made.plain, made.first
	if made.shared {
		made.link.Conn = coalesce(c)
	}
	return made.link, nil
}
