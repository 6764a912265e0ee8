package activator

import (
	"crypto/sha256"
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"
)

// Bounds on asking who sent an announcement, which costs the API server a request each: a pod with any token can ask
// for one. Beyond them announcements are answered 503 with Retry-After.
const (
	maxReviews    = 16  // at once
	reviewsOfAddr = 8   // in a reviewPeriod, of one address: a pod announces itself once, or a few times if it has to
	reviewsOfAll  = 100 // in a reviewPeriod: what a kubelet may ask in a burst (KubeletConfiguration, kubeAPIBurst)
	reviewPeriod  = time.Second
)

// How long an answer of the API server about a token is cached: a pod announces itself once more when an answer was lost,
// and each activator in the path asks about it.
const (
	proven      = 10 * time.Second // as long as the API server itself caches it (kube-apiserver, token authentication)
	unproven    = 2 * time.Second  // the pod may be so new that the API server hasn't seen it
	maxReviewed = 1024             // tokens that are remembered, as their digests: beyond them any other is forgotten
)

var errTooMany = errors.New("too many announcements")

// reviews counts the announcements whose sender is being identified, and remembers those that have been. The zero value is
// ready.
type reviews struct {
	mu     sync.Mutex
	atOnce int
	began  time.Time // of the period
	all    int
	of     map[netip.Addr]int
	known  map[[sha256.Size]byte]review
}

// review is an answer of the API server about a token.
type review struct {
	id    PodIdentity
	err   error // nil, or ErrUnproven
	until time.Time
}

// recall returns the cached answer about a token, if it is still valid.
func (r *reviews) recall(token string, now time.Time) (id PodIdentity, err error, ok bool) {
	key := sha256.Sum256([]byte(token))
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.known[key]
	if !ok || !now.Before(v.until) {
		return PodIdentity{}, nil, false
	}
	return v.id, v.err, true
}

// remember caches an answer about a token.
func (r *reviews) remember(token string, id PodIdentity, err error, now time.Time) {
	key, v := sha256.Sum256([]byte(token)), review{id, err, now.Add(proven)}
	if err != nil {
		v.until = now.Add(unproven)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[[sha256.Size]byte]review{}
	}
	if len(r.known) >= maxReviewed {
		maps.DeleteFunc(r.known, func(_ [sha256.Size]byte, v review) bool { return !now.Before(v.until) })
	}
	for old := range r.known {
		if len(r.known) < maxReviewed {
			break
		}
		delete(r.known, old)
	}
	r.known[key] = v
}

// begin reports whether the sender at addr may be identified now. Each true needs one end.
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
