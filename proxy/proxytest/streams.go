package proxytest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sluice-proxy/sluice/proxy"
)

// streams reads the frames on the HTTP/2 connections of a case's clients to find the streams that have not ended. The result of
// a client's library doesn't show that: it has read a body of known length in full before the stream ends.
type streams struct {
	mu    sync.Mutex
	conns []*tapped
}

// tap returns c with its frames recorded.
func (s *streams) tap(c net.Conn) net.Conn {
	t := &tapped{Conn: c, open: map[uint32]bool{}}
	t.sent.skip = len(http2.ClientPreface)
	s.mu.Lock()
	s.conns = append(s.conns, t)
	s.mu.Unlock()
	return t
}

// dial is DialContext of a client without TLS.
func (s *streams) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return s.tap(c), nil
}

// open is the number of streams that have not ended, on connections that have not ended.
func (s *streams) open() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.mu.Lock()
		n += len(c.open)
		c.mu.Unlock()
	}
	return n
}

// tapped is a client's connection.
type tapped struct {
	net.Conn
	mu       sync.Mutex
	open     map[uint32]bool // streams that the client has opened and that have not ended
	pings    int             // pings of the peer, without acknowledgements
	sent     frames
	received frames
}

func (t *tapped) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.sent.see(p, func(h http2.FrameHeader) {
		switch h.Type {
		case http2.FrameHeaders:
			if h.StreamID > t.sent.last { // other HEADERS are trailers
				t.sent.last = h.StreamID
				t.open[h.StreamID] = true
			}
		case http2.FrameRSTStream:
			delete(t.open, h.StreamID)
		}
	})
	t.mu.Unlock()
	return t.Conn.Write(p)
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.received.see(p[:n], func(h http2.FrameHeader) {
		ends := h.Type == http2.FrameHeaders || h.Type == http2.FrameData
		switch {
		case h.Type == http2.FrameRSTStream, ends && h.Flags.Has(http2.FlagDataEndStream): // the flag is the same for HEADERS
			delete(t.open, h.StreamID)
		case h.Type == http2.FramePing && !h.Flags.Has(http2.FlagPingAck):
			t.pings++
		}
	})
	if err != nil {
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			clear(t.open)
		}
	}
	return n, err
}

func (t *tapped) Close() error {
	t.mu.Lock()
	clear(t.open)
	t.mu.Unlock()
	return t.Conn.Close()
}

// CloseWrite ends the client's half.
func (t *tapped) CloseWrite() error { return t.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// frames finds the heads of frames in one direction of a connection (RFC 9113 §4.1).
type frames struct {
	skip int // bytes to the next head
	head []byte
	last uint32 // the last stream that was opened
}

const frameHead = 9

func (f *frames) see(p []byte, found func(http2.FrameHeader)) {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip, p = f.skip-n, p[n:]
			continue
		}
		n := min(frameHead-len(f.head), len(p))
		f.head, p = append(f.head, p[:n]...), p[n:]
		if len(f.head) < frameHead {
			return
		}
		h := http2.FrameHeader{
			Length: binary.BigEndian.Uint32(f.head) >> 8, Type: http2.FrameType(f.head[3]), Flags: http2.Flags(f.head[4]),
			StreamID: binary.BigEndian.Uint32(f.head[5:]) & (1<<31 - 1),
		}
		f.skip, f.head = int(h.Length), f.head[:0]
		found(h)
	}
}

// settled checks after a case that each open stream of its clients has a request in progress.
func (r *rig) settled() {
	for _, w := range r.byHand {
		w.readOn()
	}
	inProgress := func() (n int) {
		for _, p := range r.running {
			n += int(p.n.Load())
		}
		return n
	}
	if !await(func() bool { return r.streams.open() <= inProgress() }) {
		r.Errorf("%d streams of clients have not ended, with %d requests in progress", r.streams.open(), inProgress())
	}
}

// inProgress counts the requests in progress at a policy.
type inProgress struct{ n atomic.Int64 }

func (r *rig) counter() *inProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := new(inProgress)
	r.running = append(r.running, n)
	return n
}

func (n *inProgress) count(p proxy.Policy) proxy.Policy {
	return policy(func(req *proxy.Request) proxy.Exchange {
		n.n.Add(1)
		return &countedExchange{p.Begin(req), n}
	})
}

// none fails the test unless all requests end.
func (n *inProgress) none(t testing.TB) {
	if !await(func() bool { return n.n.Load() == 0 }) {
		t.Errorf("%d requests are in progress, and their clients have gone", n.n.Load())
	}
}

// countedExchange is an exchange that is in progress until its End.
type countedExchange struct {
	proxy.Exchange
	in *inProgress
}

func (x *countedExchange) End(req *proxy.Request, res proxy.Result) {
	defer x.in.n.Add(-1)
	x.Exchange.End(req, res)
}

// await waits until a condition is true.
func await(what func() bool) bool {
	for end := time.Now().Add(patience); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// readOn reads the remaining frames in the background, and opens the windows so that the peer can send all of them.
func (w *wire2) readOn() {
	_ = w.c.SetDeadline(time.Now().Add(2 * patience))
	const much = 1 << 30
	_ = w.fr.WriteWindowUpdate(0, much) // it fails if the case has closed the connection
	for id := uint32(1); id <= w.last; id += 2 {
		_ = w.fr.WriteWindowUpdate(id, much)
	}
	done := make(chan struct{})
	w.r.Cleanup(func() { w.c.Close(); <-done })
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, w.c.in)
	}()
}
