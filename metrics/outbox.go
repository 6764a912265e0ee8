package metrics

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// outbox is a ring of messages that drops the oldest when it is full, and
// those older than maxAge (if positive).
type outbox struct {
	maxAge time.Duration
	wake   chan struct{} // holds one; push sends

	mu      sync.Mutex
	ring    []outgoing
	head, n int
	dropped uint64
}

type outgoing struct {
	m  *statpb.WireStatMessages
	at time.Time
}

func (b *outbox) push(o outgoing) {
	b.mu.Lock()
	for b.n > 0 && b.tooOld(b.ring[b.head], o.at) {
		b.shiftLocked()
		b.dropped++
	}
	if b.n == len(b.ring) {
		b.shiftLocked()
		b.dropped++
	}
	b.ring[(b.head+b.n)%len(b.ring)] = o
	b.n++
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *outbox) tooOld(o outgoing, now time.Time) bool {
	return b.maxAge > 0 && now.Sub(o.at) > b.maxAge
}

// pop removes and returns the oldest message that is not too old at now.
func (b *outbox) pop(now time.Time) (o outgoing, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.n > 0 {
		o := b.shiftLocked()
		if !b.tooOld(o, now) {
			return o, true
		}
		b.dropped++
	}
	return outgoing{}, false
}

// putBack returns o, the last one popped, to the front. In a full ring o is
// the oldest and so the one to drop.
func (b *outbox) putBack(o outgoing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == len(b.ring) {
		b.dropped++
		return
	}
	b.head = (b.head + len(b.ring) - 1) % len(b.ring)
	b.ring[b.head] = o
	b.n++
}

// discard counts a popped message as dropped.
func (b *outbox) discard() {
	b.mu.Lock()
	b.dropped++
	b.mu.Unlock()
}

func (b *outbox) shiftLocked() outgoing {
	o := b.ring[b.head]
	b.ring[b.head] = outgoing{} // for the garbage collector
	b.head = (b.head + 1) % len(b.ring)
	b.n--
	return o
}

func (b *outbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

func (b *outbox) droppedSoFar() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
