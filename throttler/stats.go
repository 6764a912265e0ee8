package throttler

// RevisionStats is a revision at one moment, and what has happened to it since it became known.
type RevisionStats struct {
	Backends  int // listed
	Ready     int // of these, with State Ready
	Draining  int // of these, with State Draining
	Ejected   int // of those Ready, out of use after a failed dial
	BackedOff int // of those Ready, left alone after they declined
	Leaving   int // not listed any more, with leases out
	Slots     int // of own ready pods; -1 when one is unlimited

	InFlight     int // leases out
	Spillover    int // of these, on other activators' pods
	Waiting      int
	WaitingBytes int64

	Grants          uint64 // leases given
	SpilloverGrants uint64 // of these, on other activators' pods
	Handed          uint64 // of these, to waiters
	WakeUps         uint64 // waiters that woke with a lease: as many as Handed, once they have run
	PassedOn        uint64 // of these, had given up in the meantime

	Refused        uint64 // found the queue full
	Cancelled      uint64 // left the queue
	Ejections      uint64
	Declined       uint64 // requests that a pod was too busy for
	DoubleReleases uint64
}

// counts is RevisionStats with what only the revision needs.
type counts struct {
	RevisionStats
	remote     int // pods that may take a spillover request
	ownReady   int // own pods with State Ready
	ownEjected int // of these, ejected
	unlimited  int // listed pods without a limit
	many       int // listed pods with more than firstAvailableSlots
	ownSlots   int // of own ready pods with a limit
	ownOpen    int // own ready pods without a limit
}

// tally adds p to the counts, or with -1 takes it out. A change of p stands between two calls.
func (r *revision) tally(p *pod, n int) {
	c := &r.count
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
		c.many += n
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
		r.tallyOwn(p, n)
	}
}

func (r *revision) tallyOwn(p *pod, n int) {
	c := &r.count
	c.ownReady += n
	if p.backOff.why == ejected {
		c.ownEjected += n
	}
	if p.Slots <= 0 {
		c.ownOpen += n
	} else {
		c.ownSlots += n * p.Slots
	}
}

func (r *revision) stats() (_ RevisionStats, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.count.RevisionStats
	s.Waiting = r.waiting()
	s.WakeUps = r.wakeUps.Load()
	s.Slots = r.count.ownSlots
	if r.count.ownOpen > 0 {
		s.Slots = -1
	}
	return s, r.known
}

// Totals is all revisions together.
type Totals struct {
	Revisions    int   // known
	Waiting      int   // requests
	WaitingBytes int64 // by Demand.Bytes
	Overloaded   uint64

	// The bounds on what waits, and how often each was met.
	MaxWaiting                          int
	MaxWaitingBytes                     int64
	WaitingRefused, WaitingBytesRefused uint64
	DoubleReleases                      uint64
}
