// Package quota shares a bound among keys, so that no key can use it up.
//
// A key may take more while it holds less than is free: a dynamic threshold (Choudhury and Hahne, "Dynamic queue length
// thresholds for shared-memory packet switches", 1998). One key alone gets half of the bound, two get a third each, and a
// new key always finds something free, without a reservation. But early keys may leave little: after a half, a quarter
// and an eighth, an eighth is left. That is the reserve, for keys that hold almost nothing.
//
//	Bound: an amount, whose callers know what each key holds
//	Shares: a Bound that counts what its keys hold
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
	reserved = 8   // the reserve is 1/reserved of the bound
	little   = 128 // a key holds little while it holds less than 1/little of what is free
)

// Bound is the amount that all keys together may hold. Make one with New.
type Bound struct {
	limit   int64
	used    atomic.Int64
	refused atomic.Uint64
}

// New returns a Bound of which nothing is held.
func New(limit int64) *Bound { return &Bound{limit: limit} }

// Take takes n more for a key that holds held, and returns false if that would exceed the key's part. by is what a second
// key holds for which the same is taken, such as the client's beside the revision's; 0: there is none. While more than the
// reserve is free, the first key may take if it holds little, or if both hold less than is free. Of the reserve they may
// take only if both hold little.
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

// Give returns n.
func (b *Bound) Give(n int64) { b.used.Add(-n) }

// Used returns what all keys hold.
func (b *Bound) Used() int64 { return b.used.Load() }

// Limit returns the bound.
func (b *Bound) Limit() int64 { return b.limit }

// Refused returns how often Take has returned false.
func (b *Bound) Refused() uint64 { return b.refused.Load() }

// Shares is a Bound that counts what its keys hold. The zero key may take as long as anything is free. Make one with
// NewShares.
type Shares[K comparable] struct {
	*Bound

	mu   sync.Mutex
	held map[K]int64
}

// NewShares returns Shares of which nothing is held.
func NewShares[K comparable](limit int64) *Shares[K] {
	return &Shares[K]{Bound: New(limit), held: map[K]int64{}}
}

// TakeOne takes one for k, as Take does.
func (s *Shares[K]) TakeOne(k K) bool { return s.TakeFor(k, 1) }

// TakeFor takes n for k, as Take does.
func (s *Shares[K]) TakeFor(k K, n int64) bool {
	var none K
	if k == none {
		return s.Take(n, 0, 0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Take(n, s.held[k], 0) {
		return false
	}
	s.held[k] += n
	return true
}

// GiveOne returns one that k holds.
func (s *Shares[K]) GiveOne(k K) { s.GiveFor(k, 1) }

// GiveFor returns n of what k holds.
func (s *Shares[K]) GiveFor(k K, n int64) {
	s.Give(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[k] > n {
		s.held[k] -= n
	} else {
		delete(s.held, k)
	}
}

// Client returns the key of a client's address. For IPv6 it is the prefix of 64 bits, since one client can use all
// addresses of a subnet (RFC 4291 §2.5.4). For the addresses in many, which many clients share, it is the zero key.
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
