package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
)

// What an upstream speaks is its own matter. A request of HTTP/1.1 can be sent in HTTP/1.1 to nearly everybody; one of
// HTTP/2 goes in HTTP/2 to whom speaks it, since gRPC needs that, and in HTTP/1.1 to all others. Which, inside TLS is said
// by ALPN, and in the clear by the first bytes that come back when HTTP/2 begins on a new connection: a server's first frame
// is SETTINGS (RFC 9113 §3.4), while one that knows HTTP/1.1 only answers with an error, or closes. Nothing of the request
// has been sent by then. While there is a connection of HTTP/2 nobody asks again; that an upstream speaks HTTP/1.1 only is
// remembered in http1Only.

// errHTTP1Only says that an upstream has answered HTTP/2 with something else.
var errHTTP1Only = &Error{Reason: BadResponse, Err: errors.New("the app does not speak HTTP/2")}

// errNoHTTP2 says that an upstream has closed a connection on which HTTP/2 had begun: it doesn't speak it, or is going.
var errNoHTTP2 = &Error{Reason: UpstreamClosed, Err: errors.New("the app closed the connection when HTTP/2 began on it")}

// errGRPC is for a call that an upstream could not understand. It is not tried again: the next attempt would end likewise.
var errGRPC = &Error{Reason: BadResponse, Err: errors.New("gRPC needs HTTP/2, which the app does not speak")}

// needs is what a request wants of a connection.
type needs struct {
	grpc       bool // HTTP/2
	repeatable bool // any that there is: see take
}

// find returns a connection with room for one request, reserved. With SameProto in key, for a request of HTTP/2, it
// finds out what the upstream speaks. It blocks on a dial and, then, on the upstream's first bytes, which ctx ends.
func (p *pool) find(ctx context.Context, key upstreamKey, n needs) (c *conn, reused bool, err error) {
	if key.proto != SameProto {
		return p.get(ctx, key, n)
	}
	if n.grpc || !p.http1Only.has(key) {
		c, reused, err = p.get(ctx, key, n)
		answered := errors.Is(err, errHTTP1Only)
		switch {
		case answered && n.grpc:
			return nil, false, errGRPC
		case !answered && (n.grpc || !errors.Is(err, errNoHTTP2)):
			return c, reused, err
		}
	}
	one := key
	one.proto = HTTP1
	if c, reused, err = p.get(ctx, one, n); err != nil {
		p.http1Only.forget(key) // who comes up in its place may be another
	}
	return c, reused, err
}

// learn takes what became of a request that find has found a connection of HTTP/1.1 for.
func (p *pool) learn(key upstreamKey, c *conn, err *Error) {
	switch {
	case key.proto != SameProto || c.shared():
	case err == nil:
		p.http1Only.add(key)
	case err.Reason == UpstreamClosed || err.Reason == BadResponse:
		p.http1Only.forget(key)
	}
}

// maxRemembered bounds what is remembered of upstreams that may have gone long since. What is forgotten is found out again.
const maxRemembered = 1000

// origins is a set of a bounded size.
type origins struct {
	mu  sync.RWMutex
	all map[origin]struct{}
}

// origin is an address, in the clear or inside TLS, whatever its configuration.
type origin struct {
	addr string
	tls  bool
}

func (k *upstreamKey) origin() origin { return origin{k.addr, k.tls != nil} }

func (o *origins) has(key upstreamKey) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	_, ok := o.all[key.origin()]
	return ok
}

func (o *origins) add(key upstreamKey) {
	if o.has(key) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = make(map[origin]struct{})
	}
	for old := range o.all {
		if len(o.all) < maxRemembered {
			break
		}
		delete(o.all, old) // any
	}
	o.all[key.origin()] = struct{}{}
}

func (o *origins) forget(key upstreamKey) {
	if !o.has(key) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, key.origin())
}

// firstBytes are those that an upstream sends on a connection on which HTTP/2 has begun.
type firstBytes struct {
	head []byte
	done chan struct{} // err is set
	err  error         // nil: it speaks HTTP/2
}

// Of a frame's head the first three bytes are its length and the fourth is its type (RFC 9113 §4.1).
const (
	frameType     = 3
	frameSettings = 0x4
)

// read is called after each read of the connection until it returns true.
func (f *firstBytes) read(p []byte, err error) (known bool) {
	f.head = append(f.head, p[:min(len(p), frameType+1-len(f.head))]...)
	switch {
	case len(f.head) > frameType && f.head[frameType] == frameSettings:
	case len(f.head) > frameType, err != nil && len(f.head) > 0:
		f.err = errHTTP1Only
	case err != nil:
		f.err = errNoHTTP2
	default:
		return false
	}
	close(f.done)
	return true
}

// await blocks until it is known what the upstream speaks.
func (f *firstBytes) await(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// byALPN has a handshake fail with errHTTP1Only when the upstream hasn't chosen HTTP/2.
func byALPN(config *tls.Config) {
	own := config.VerifyConnection
	config.NextProtos = []string{"h2", "http/1.1"}
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if own != nil {
			if err := own(s); err != nil {
				return err
			}
		}
		if s.NegotiatedProtocol != "h2" {
			return errHTTP1Only
		}
		return nil
	}
}
