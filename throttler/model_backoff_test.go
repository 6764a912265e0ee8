package throttler

import (
	"slices"
	"time"

	"pgregory.net/rapid"
)

// release ends a lease and says whether its pod must now back off, and for how long at most.
func (m *model) release(i int, o Outcome, c Config) (backs *modelPod, most time.Duration) {
	l := m.leases[i]
	p := l.pod
	m.leases = slices.Delete(m.leases, i, i+1)
	p.inFlight--
	defer m.prune(p)
	if l.given < p.backedOff {
		return nil, 0
	}
	var why backOffReason
	var first, limit time.Duration
	n := 0
	switch {
	case o == OK:
		p.failures, p.declines = 0, 0
	case o == DialFailed, o == Lost:
		p.failures++
		why, n, first, limit = ejected, p.failures, c.Eject.First, c.Eject.Max
	case o == Busy:
		m.declined++
		p.declines++
		if !l.Spillover() || !p.Own {
			why, n, first, limit = declined, p.declines, c.Decline.First, c.Decline.Max
		}
	}
	if why == inUse {
		return nil, 0
	}
	m.clock++
	p.backedOff = m.clock
	if !p.listed {
		return nil, 0
	}
	p.why = why
	return p, min(first<<(n-1), limit)
}

// succeed is the rule that a pod which is backed off, since it had no room, gets one request for each that it answers.
func (m *model) succeed(t *rapid.T, p *modelPod) {
	if len(m.queue) == 0 || !p.listed || !p.Own || p.State != Ready || p.why != declined || p.Slots > 0 && p.inFlight >= p.Slots {
		return
	}
	c := m.queue[0]
	if !c.done.Load() || c.err != nil || c.lease.ID() != p.ID || c.lease.Spillover() {
		t.Fatalf("the oldest waiter has not been given the slot: done %v, %q, %v", c.done.Load(), c.lease.ID(), c.err)
	}
	m.queue = m.queue[1:]
	m.handed++
	m.cursor = slices.Index(m.order, p) + 1
	m.clock++
	p.inFlight++
	m.leases = append(m.leases, modelLease{c.lease, p, m.clock})
}

// backOff checks for how long a pod backs off, from the real throttler, and takes it over.
func (m *model) backOff(t *rapid.T, p *modelPod, most time.Duration, real map[string]time.Time) {
	p.until = real[p.ID]
	if d := time.Until(p.until); d > most || d < most*3/4 && (d != m.firstStep() || !m.allEjected()) {
		t.Fatalf("%s backs off for %v, at most %v", p.ID, d, most)
	}
}

func (m *model) firstStep() time.Duration { return defaultEject.First }

func (m *model) allEjected() bool {
	n := 0
	for _, p := range m.order {
		if p != nil && p.Own && p.State == Ready {
			if p.why != ejected {
				return false
			}
			n++
		}
	}
	return n > 0
}

// shorten is the rule that not all own pods are ejected for longer than the first step.
func (m *model) shorten() {
	if !m.allEjected() {
		return
	}
	var first *modelPod
	for _, p := range m.order {
		if p != nil && p.Own && p.State == Ready && (first == nil || p.until.Before(first.until)) {
			first = p
		}
	}
	if latest := time.Now().Add(m.firstStep()); first.until.After(latest) {
		first.until = latest
	}
}

// next is when the next back-off ends.
func (m *model) next() (at time.Time, ok bool) {
	for _, p := range m.order {
		if p != nil && p.why != inUse && (!ok || p.until.Before(at)) {
			at, ok = p.until, true
		}
	}
	return at, ok
}

func (m *model) endBackOff() {
	for _, p := range m.order {
		if p != nil && p.why != inUse && !p.until.After(time.Now()) {
			p.why = inUse
		}
	}
}
