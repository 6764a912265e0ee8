package throttler

import "time"

// RevisionID names a revision.
type RevisionID struct{ Namespace, Name string }

func (id RevisionID) String() string { return id.Namespace + "/" + id.Name }

// State says whether a pod may be given new requests.
type State uint8

// States of a Backend. A pod that is gone is one that is not listed any more.
const (
	Ready    State = iota
	Draining       // finishes what it has, gets nothing new
)

// Backend is a pod as its revision's owner describes it. Use keyed literals: fields will be added.
type Backend struct {
	ID        string // the pod's UID; empty means Addr. Addresses are reused by other pods, IDs are not
	Addr      string // where to dial; a change of it concerns new leases
	Slots     int    // how many requests at a time; 0 is unlimited
	Own       bool   // in this activator's share
	Spillover bool   // not in the share, but known to answer "not processed" when full: may take one spillover request at a time
	State     State
	// Declines: the pod is known to say so when it does not process a request; kept for who asks (Lease.Declines), no pick
	// considers it.
	Declines bool
}

// Pick says how one of several pods with a free slot is chosen.
type Pick uint8

// Picks. Pods are ordered as they became known: those of one SetBackends in the order given there, later ones in
// places that others have left, else behind. All picks cost the same whatever the number of pods.
const (
	// PickAuto goes by the most slots that any pod has: unlimited, PickLeastInFlight; up to 3, PickFirstAvailable;
	// more, PickRoundRobin.
	PickAuto Pick = iota
	// PickLeastInFlight takes one with the fewest requests in flight, by chance among equals.
	PickLeastInFlight
	// PickFirstAvailable takes the first with a free slot, so that few pods are well used.
	PickFirstAvailable
	// PickRoundRobin takes the next with a free slot after the last one taken.
	PickRoundRobin
)

// firstAvailableSlots is the largest number of slots for which PickAuto takes the first available pod.
const firstAvailableSlots = 3

// endpoint is what a Lease remembers of its pod; it never changes.
type endpoint struct {
	id, addr string
	declines bool
}

// place says in which of the revision's sets of free slots a pod is.
type place uint8

const (
	nowhere place = iota // no free slot, or not to be used
	atHome               // an own pod with a free slot
	remote               // another activator's pod that may take a spillover request
)

const unranked = -1

// pod is a Backend with its accounts. It lives until it is no longer listed and its last lease has ended.
type pod struct {
	// Written with both locks of the revision held, so either is enough to read.
	Backend
	endpoint *endpoint
	listed   bool

	seen uint64 // the last SetBackends that listed it; guarded by revision.update

	// Guarded by revision.mu.
	inFlight int
	place    place
	position int   // in revision.order, while listed
	rank     int32 // in revision.fewest, or unranked
	ranked   int   // inFlight as revision.fewest knows it
	backOff  backOff
}

// backOff is a pod's time out of use.
type backOff struct {
	until    time.Time
	why      backOffReason
	index    int    // in revision.backingOff
	epoch    uint32 // counts back-offs: the outcome of a lease given before the last one counts no more
	ejected  uint8  // failures in a row to be reached or to answer, each after the last ejection ended
	declined uint8  // the same for requests that the pod declined
}

type backOffReason uint8

const (
	inUse backOffReason = iota
	ejected
	declined
)

// offer says where p belongs now.
func (p *pod) offer() place {
	switch {
	case !p.usable():
		return nowhere
	case p.Own && (p.Slots <= 0 || p.inFlight < p.Slots):
		return atHome
	case !p.Own && p.Spillover && p.inFlight == 0:
		return remote
	}
	return nowhere
}

func (p *pod) usable() bool { return p.listed && p.State == Ready && p.backOff.why == inUse }
