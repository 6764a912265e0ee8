package throttler

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/internal/quota"
)

// bounds limit what waits over all revisions, in requests and in bytes, and share it among revisions and clients.
type bounds struct {
	requests *quota.Bound
	bytes    *quota.Bound
	exceeded atomic.Uint64

	mu      sync.Mutex // taken last of all locks
	clients map[netip.Addr]usage
}

// usage is what a revision or a client has waiting.
type usage struct{ requests, bytes int64 }

func newBounds(c Config) bounds {
	return bounds{
		requests: quota.New(int64(c.MaxWaiting)),
		bytes:    quota.New(c.MaxWaitingBytes),
		clients:  map[netip.Addr]usage{},
	}
}

// reserve counts one more request of so many bytes, unless that would exceed a bound, or the part of it that its revision,
// which has so much waiting, or its client may have. The zero client has no part of its own.
func (b *bounds) reserve(revision usage, client netip.Addr, bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.clients[client]
	if !b.requests.Take(1, revision.requests, c.requests) {
		b.exceeded.Add(1)
		return false
	}
	if bytes > 0 && !b.bytes.Take(bytes, revision.bytes, c.bytes) {
		b.requests.Give(1)
		b.exceeded.Add(1)
		return false
	}
	if client.IsValid() {
		b.clients[client] = usage{c.requests + 1, c.bytes + bytes}
	}
	return true
}

func (b *bounds) release(client netip.Addr, bytes int64) {
	b.requests.Give(1)
	b.bytes.Give(bytes)
	if !client.IsValid() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.clients[client]; c.requests > 1 {
		b.clients[client] = usage{c.requests - 1, c.bytes - bytes}
	} else {
		delete(b.clients, client)
	}
}
