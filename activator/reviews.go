package activator

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds on asking who sent an announcement, which costs the API server a request each: a pod with any token can ask
// for one. Beyond them announcements are told to come again.
const (
	maxReviews    = 64   // at once
	reviewsOfAddr = 8    // in a reviewPeriod, of one address: a pod announces itself once, or a few times if it has to
	reviewsOfAll  = 1000 // in a reviewPeriod
	reviewPeriod  = time.Second
)

// reviews counts the announcements whose sender is being identified, and has been. The zero value is ready.
type reviews struct {
	mu     sync.Mutex
	atOnce int
	began  time.Time // of the period
	all    int
	of     map[netip.Addr]int
}

// begin says whether the sender at addr may be identified now. Each true needs one end.
func (r *reviews) begin(addr netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || now.Sub(r.began) >= reviewPeriod {
		r.began, r.all, r.of = now, 0, map[netip.Addr]int{}
	}
	if r.atOnce >= maxReviews || r.all >= reviewsOfAll || r.of[addr] >= reviewsOfAddr {
		return false
	}
	r.atOnce++
	r.all++
	r.of[addr]++
	return true
}

func (r *reviews) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.atOnce--
}
