package throttler

// pod is a Backend with what is known of its use. It lives until it is no longer listed and its last lease has ended.
type pod struct {
	// Written with both podList.mu and revision.mu held, so either is enough to read.
	Backend
	endpoint *endpoint
	listed   bool

	seen uint64 // the last podList.round that listed it; guarded by podList.mu

	// Guarded by revision.mu.
	inFlight int
	offered  offer // as freeSlots knows it
	position int   // in freeSlots.order, while listed
	rank     int32 // in freeSlots.fewest, or unranked
	ranked   int   // inFlight as freeSlots.fewest knows it
	backOff  backOff

	line  waiters // requests that take turns and wait for this pod alone
	lined bool    // in queue.lined

	onRing      bool
	place       int     // in ring.places, unless ring.stale
	counted     int     // its load, in ring.load
	wasWaitable [2]bool // by any request, by one that needs an own pod, as the ring knows it
}

const unranked = -1

// endpoint is what a Lease remembers of its pod; it never changes.
type endpoint struct {
	id, addr string
	declines bool
}

// offer is what a pod has for a new request.
type offer uint8

const (
	noSlot        offer = iota // none is free, or the pod is not to be used
	ownSlot                    // a slot of an own pod
	spilloverSlot              // a slot of another activator's pod, for one spillover request
)

func (p *pod) offers() offer {
	switch {
	case !p.usable():
		return noSlot
	case p.Own && p.hasRoom():
		return ownSlot
	case !p.Own && p.Spillover && p.inFlight == 0:
		return spilloverSlot
	}
	return noSlot
}

// waitable says whether requests may wait for p: also for one that is full or has just declined a request.
func (p *pod) waitable() bool {
	return p.listed && p.State == Ready && p.backOff.why != ejected && (p.Own || p.Spillover)
}

// load is how many requests p has, those that wait for it included.
func (p *pod) load() int { return p.inFlight + p.line.n }

// fill is what p may have in flight before the load of others counts.
func (p *pod) fill() int {
	if p.Slots <= 0 {
		return manyInFlight
	}
	return p.Slots
}

// overloaded says whether others could better have the next request of one of p's keys: it has as many as it may have in flight, or
// more, and at least many.
func (p *pod) overloaded(many int) bool { return p.load() >= max(p.fill(), many) }

// hasSlot says whether p has room for a request now.
func (p *pod) hasSlot() bool { return p.usable() && p.hasRoom() }

func (p *pod) usable() bool { return p.listed && p.State == Ready && p.backOff.why == inUse }

func (p *pod) hasRoom() bool { return p.Slots <= 0 || p.inFlight < p.Slots }
