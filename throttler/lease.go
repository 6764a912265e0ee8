package throttler

// Outcome is what a request has found out about its pod.
type Outcome uint8

// Outcomes of a Lease.
const (
	// OK says that the pod was reached: it ends the growth of the pod's back-off.
	OK Outcome = iota
	// DialFailed says that no connection could be made: nothing was sent, and the pod is ejected for a while.
	DialFailed
	// Busy says that the pod did not process the request: it gets no new ones for a while. For a lease from before the pod
	// was taken into this activator's share it has no effect.
	Busy
	// Unused says that the request gave up before it found out anything.
	Unused
	// Lost says that the pod was reached and that the connection ended before an answer: the pod is ejected for a while, as
	// after DialFailed.
	Lost
)

// Lease is a slot of a pod. It is a small value that may be copied; the copies are one lease. The zero value is no
// lease.
type Lease struct {
	g        *grant
	endpoint *endpoint
	gen      uint64
	epoch    int64
}

// grant is what a revision keeps of a lease. It is used again when the lease has ended: then gen differs from the lease's.
// The revision's mu guards it, except the field revision, which never changes.
type grant struct {
	revision *revision
	pod      *pod
	gen      uint64 // even plus spillBit; never the same twice
	epoch    uint32 // the pod's at the time of the grant
	next     *grant // while it is not in use
}

const spillBit = 1

// Valid says whether l is a lease, also after its Release.
func (l Lease) Valid() bool { return l.g != nil }

// Addr is where to dial, as it was when the lease was given. It may be called after Release too.
func (l Lease) Addr() string {
	if l.endpoint == nil {
		return ""
	}
	return l.endpoint.addr
}

// ID is the pod's. It may be called after Release too.
func (l Lease) ID() string {
	if l.endpoint == nil {
		return ""
	}
	return l.endpoint.id
}

// Declines is the pod's Backend.Declines, as it was when the lease was given. It may be called after Release too.
func (l Lease) Declines() bool { return l.endpoint != nil && l.endpoint.declines }

// Spillover says that the pod is in another activator's share: the request must not wait there.
func (l Lease) Spillover() bool { return l.gen&spillBit != 0 }

// KeyEpoch is 0 for a request without a key. It grows whenever the next request of a key goes to another pod than the one
// before, and sometimes when it doesn't, never otherwise: a pod or its database that has seen an epoch can refuse what
// comes with an older one. It is a time in microseconds, so that it also grows when a key has been forgotten; several
// activators agree as far as their clocks do.
func (l Lease) KeyEpoch() int64 { return l.epoch }

// Release ends the lease and hands the slot to the oldest waiting request, if there is one. It never blocks. A second Release
// does nothing and is counted. Release of the zero value does nothing.
func (l Lease) Release(o Outcome) {
	if l.g != nil {
		l.g.revision.release(l, o)
	}
}
