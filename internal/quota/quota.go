// Package quota shares a bound among keys, so that none of them leaves nothing to the others.
//
// A key may take more while it holds less than is free: a dynamic threshold (Choudhury and Hahne, "Dynamic queue length
// thresholds for shared-memory packet switches", 1998). One key alone gets half of the bound, two a third each, and each
// finds something free when it comes, without a reservation for any. Those who came first may have left little, though:
// after a half, a quarter and an eighth an eighth is left. That is a reserve for keys that hold next to nothing.
//
//	Bound: an amount, whose users know what they hold
//	Shares: a Bound that keeps count of what its keys hold
//
// # Concurrency
//
// All methods may be called concurrently. They take a short-held lock at most.
package quota

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	reserved = 8   // one part in so many is the reserve
	little   = 128 // a key holds little while it holds less than one part in so many of what is free
)

// Bound is an amount that may be held in all. Make one with New.
type Bound struct {
	limit   int64
	used    atomic.Int64
	refused atomic.Uint64
}

// New makes a Bound.
func New(limit int64) *Bound { return &Bound{limit: limit} }

// Take takes n more for a key that holds held, unless that would be more than its part. by is what another key holds
// that the same is taken for, such as the client's that asks for a revision: what holds little is refused for the sake
// of the other only when the reserve is all there is. Zero: there is none.
func (b *Bound) Take(n, held, by int64) bool {
	for {
		used := b.used.Load()
		if !b.may(n, held, by, b.limit-used) {
			b.refused.Add(1)
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (b *Bound) may(n, held, by, free int64) bool {
	if n > free {
		return false
	}
	plenty := free > b.limit/reserved
	if held*little < free {
		return plenty || by*little < free
	}
	return plenty && held < free && by < free
}

// Give gives n back.
func (b *Bound) Give(n int64) { b.used.Add(-n) }

// Used is what is held.
func (b *Bound) Used() int64 { return b.used.Load() }

// Limit is the bound.
func (b *Bound) Limit() int64 { return b.limit }

// Refused is how often Take has refused.
func (b *Bound) Refused() uint64 { return b.refused.Load() }

// Shares is a Bound on things that are taken one by one, by keys. The zero key has no part of its own: what it takes
// only has to fit. Make one with NewShares.
type Shares[K comparable] struct {
	*Bound

	mu   sync.Mutex
	held map[K]int64
}

// NewShares makes Shares.
func NewShares[K comparable](limit int64) *Shares[K] {
	return &Shares[K]{Bound: New(limit), held: map[K]int64{}}
}

// TakeOne is Take for one thing of k's.
func (s *Shares[K]) TakeOne(k K) bool {
	var none K
	if k == none {
		return s.Take(1, 0, 0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Take(1, s.held[k], 0) {
		return false
	}
	s.held[k]++
	return true
}

// GiveOne gives one thing of k's back.
func (s *Shares[K]) GiveOne(k K) {
	s.Give(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[k] > 1 {
		s.held[k]--
	} else {
		delete(s.held, k)
	}
}

// Client is the key of a client's address: of IPv6 the 64 bits that a subnet has in common, since who has one address
// there has all of them (RFC 4291 §2.5.4). It is the zero one for those through which many clients come.
func Client(a netip.Addr, many []netip.Prefix) netip.Addr {
	a = a.Unmap().WithZone("")
	for _, p := range many {
		if p.Contains(a) {
			return netip.Addr{}
		}
	}
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
