package throttler

// RevisionID names a revision.
type RevisionID struct{ Namespace, Name string }

func (id RevisionID) String() string { return id.Namespace + "/" + id.Name }

// State says whether a pod may be given new requests.
type State uint8

// States of a Backend. A pod that is gone is one that is no longer listed.
const (
	Ready    State = iota
	Draining       // finishes the requests that it has and gets no new ones
)

// Backend describes a pod. One that is neither Own nor Spillover gets no requests; where there is one activator, all are Own.
// Use keyed literals: fields will be added.
type Backend struct {
	ID        string // the pod's UID; empty means Addr. Addresses are reused by other pods, IDs are not
	Addr      string // where to dial; a change of it applies to new leases
	Slots     int    // how many requests at a time; 0 is unlimited
	Own       bool   // in this activator's share of the pods
	Spillover bool   // not in the share, but may take one spillover request at a time, since it answers "not processed" when full
	State     State
	// Declines: the pod is known to answer so when it does not process a request. It is returned by Lease.Declines; the
	// choice of a pod does not depend on it.
	Declines bool
}

// Pick says how one of several pods with a free slot is chosen.
type Pick uint8

// Picks. Pods are ordered as they became known: those of one SetBackends in the order given there, later ones at
// positions that others have left, else at the end. All picks cost the same whatever the number of pods.
const (
	// PickAuto goes by the most slots that any pod has: unlimited, PickLeastInFlight; up to 3, PickFirstAvailable;
	// more, PickRoundRobin.
	PickAuto Pick = iota
	// PickLeastInFlight takes a pod with the fewest requests in flight, by chance among equals.
	PickLeastInFlight
	// PickFirstAvailable takes the first pod with a free slot, so that few pods are well used.
	PickFirstAvailable
	// PickRoundRobin takes the next pod with a free slot after the last one taken.
	PickRoundRobin
)

// firstAvailableSlots is the largest number of slots for which PickAuto takes the first available pod.
const firstAvailableSlots = 3
