package throttler

// RevisionStats is a revision at one moment, and what has happened to it since it became known.
type RevisionStats struct {
	Backends  int // listed
	Ready     int // of these, with State Ready
	Draining  int // of these, with State Draining
	Ejected   int // of those Ready, out of use after a request could not reach them or got no answer
	BackedOff int // of those Ready, out of use after they declined a request
	Leaving   int // no longer listed, with leases that have not ended
	Slots     int // of own ready pods; -1 when one is unlimited

	InFlight     int // leases that have not ended
	Spillover    int // of these, on other activators' pods
	Waiting      int
	WaitingBytes int64

	Grants          uint64 // leases given
	SpilloverGrants uint64 // of these, on other activators' pods
	Handed          uint64 // of these, to waiting requests
	WakeUps         uint64 // waiting requests that have seen their lease: as many as Handed, once they have run
	PassedOn        uint64 // of these, those that had given up before: the slot went to the next

	Keys uint64 // grants to requests with a key that was known; those to the same pod as before, and why the others moved:
	Kept uint64
	// MovedGone: the pod is not listed any more, or drains. MovedOut: it was ejected or backed off. MovedFull: it had no room. MovedHome:
	// another has a better claim to the key, since it is new, or has room again.
	MovedGone, MovedOut, MovedFull, MovedHome uint64

	Refused        uint64 // requests that were not queued: ErrQueueFull and ErrOverloaded
	Cancelled      uint64 // requests that left the queue without a slot
	Ejections      uint64 // how often a pod was ejected
	Declined       uint64 // requests that a pod was too busy for
	DoubleReleases uint64 // calls of Lease.Release that came too often
}

// Totals is all revisions together.
type Totals struct {
	Revisions    int   // known
	Keys         int   // with affinity, that are remembered
	Waiting      int   // requests
	WaitingBytes int64 // by Demand.Bytes

	// The bounds on what waits, and how many requests each has kept from waiting; Overloaded is their sum.
	MaxWaiting                          int
	MaxWaitingBytes                     int64
	WaitingRefused, WaitingBytesRefused uint64
	Overloaded                          uint64

	DoubleReleases uint64 // calls of Lease.Release that came too often
}

// counts is RevisionStats with what only the revision needs.
type counts struct {
	RevisionStats
	ownReady     int // own pods with State Ready
	ownEjected   int // of these, ejected
	ownSlots     int // of own ready pods with a limit
	ownUnlimited int // own ready pods without a limit
	unlimited    int // listed pods without a limit
	manySlots    int // listed pods with more than firstAvailableSlots
}

// tally adds p to the counts, or with -1 takes it out. A change of p stands between two calls.
func (c *counts) tally(p *pod, n int) {
	if !p.listed {
		if p.inFlight > 0 {
			c.Leaving += n
		}
		return
	}
	c.Backends += n
	switch {
	case p.Slots <= 0:
		c.unlimited += n
	case p.Slots > firstAvailableSlots:
		c.manySlots += n
	}
	if p.State != Ready {
		c.Draining += n
		return
	}
	c.Ready += n
	switch p.backOff.why {
	case ejected:
		c.Ejected += n
	case declined:
		c.BackedOff += n
	}
	if p.Own {
		c.tallyOwn(p, n)
	}
}

func (c *counts) tallyOwn(p *pod, n int) {
	c.ownReady += n
	if p.backOff.why == ejected {
		c.ownEjected += n
	}
	if p.Slots <= 0 {
		c.ownUnlimited += n
	} else {
		c.ownSlots += n * p.Slots
	}
}

// pick is what PickAuto stands for.
func (c *counts) pick() Pick {
	switch {
	case c.unlimited > 0:
		return PickLeastInFlight
	case c.manySlots > 0:
		return PickRoundRobin
	default:
		return PickFirstAvailable
	}
}
