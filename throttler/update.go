package throttler

import (
	"slices"
	"time"
)

// change is what an update does to one pod: list it as it should be, or take it off the list.
type change struct {
	pod      *pod
	to       Backend
	endpoint *endpoint // used when it differs from the pod's; made here to be outside mu
	unlist   bool
}

// setBackends replaces the list. The comparison is done before mu is taken.
func (r *revision) setBackends(all []Backend) {
	r.rounds++
	var changes []change
	for _, b := range all {
		p := r.podFor(&b)
		if p.seen == r.rounds {
			continue
		}
		p.seen = r.rounds
		if !p.listed || p.Backend != b {
			changes = append(changes, p.change(b))
		}
	}
	for _, p := range r.pods {
		if p.listed && p.seen != r.rounds {
			changes = append(changes, change{pod: p, unlist: true})
		}
	}
	r.apply(changes)
}

// patchBackends costs what it changes.
func (r *revision) patchBackends(upsert []Backend, gone []string) {
	changes := make([]change, 0, len(upsert)+len(gone))
	for _, id := range gone {
		if p := r.pods[id]; p != nil && p.listed {
			changes = append(changes, change{pod: p, unlist: true})
		}
	}
	for _, b := range upsert {
		// What it would be compared with may be changed by an earlier entry, so all are applied.
		changes = append(changes, r.podFor(&b).change(b))
	}
	r.apply(changes)
}

// podFor finds or makes the pod with b's ID, and sets that ID when b has none.
func (r *revision) podFor(b *Backend) *pod {
	if b.ID == "" {
		b.ID = b.Addr
	}
	p := r.pods[b.ID]
	if p == nil {
		p = &pod{Backend: Backend{ID: b.ID}, rank: unranked}
		r.pods[b.ID] = p
	}
	return p
}

func (p *pod) change(to Backend) change {
	return change{pod: p, to: to, endpoint: &endpoint{id: to.ID, addr: to.Addr, declines: to.Declines}}
}

// apply makes the changes under mu, wakes who now fits, and drops pods that have ended. It is called with update held.
func (r *revision) apply(changes []change) {
	r.mu.Lock()
	r.makeRoom(changes)
	for i := range changes {
		if c := &changes[i]; c.unlist {
			r.unlist(c.pod)
		} else {
			r.list(c)
		}
	}
	r.repick()
	if len(r.backingOff) > 0 || !r.alarmAt.IsZero() {
		now := time.Now()
		r.shorten(now)
		r.setAlarm(now)
	}
	woken, failed := r.serve(), r.failHopeless()
	r.left = slices.DeleteFunc(r.left, func(p *pod) bool {
		if !p.listed && p.inFlight == 0 {
			delete(r.pods, p.ID)
		}
		return p.listed || p.inFlight == 0
	})
	r.mu.Unlock()
	woken.wakeAll()
	failed.wakeAll()
}

// list makes c.pod what c says.
func (r *revision) list(c *change) {
	p := c.pod
	r.tally(p, -1)
	if !p.listed {
		if p.inFlight == 0 {
			p.backOff = backOff{epoch: p.backOff.epoch} // nothing kept its past alive
		}
		r.locate(p)
		r.pods[p.ID] = p
	}
	remote := !p.Own
	p.listed, p.Backend = true, c.to
	r.tally(p, +1)
	moved := p.endpoint == nil || p.endpoint.addr != c.to.Addr
	if moved || p.endpoint.declines != c.to.Declines {
		p.endpoint = c.endpoint
	}
	// A pod at a new address has not failed there, and may have declined a spillover of what it now owes.
	if moved || remote && p.Own && p.backOff.why == declined {
		r.endBackOff(p)
	}
	r.reindex(p)
}

// unlist takes p off the list. Its leases go on counting; if it comes back before they end, they count for it.
func (r *revision) unlist(p *pod) {
	if !p.listed {
		return
	}
	r.endBackOff(p)
	r.tally(p, -1)
	p.listed = false
	r.tally(p, +1)
	r.reindex(p)
	r.order[p.position] = nil
	r.vacant.set(p.position)
	if p.inFlight == 0 {
		delete(r.pods, p.ID)
		return
	}
	r.left = append(r.left, p)
}

// makeRoom grows the sets at once for the pods that are new.
func (r *revision) makeRoom(changes []change) {
	n := len(r.order)
	for i := range changes {
		if !changes[i].unlist && !changes[i].pod.listed {
			n++
		}
	}
	r.order = slices.Grow(r.order, n-len(r.order))
	r.vacant.grow(n)
	r.home.grow(n)
	r.remote.grow(n)
}

// locate gives p the first vacant position, or the one behind the last.
func (r *revision) locate(p *pod) {
	i := r.vacant.next(0)
	if i < 0 {
		i = len(r.order)
		r.order = append(r.order, nil)
	} else {
		r.vacant.clear(i)
	}
	r.order[i], p.position = p, i
}

// repick finds out how to pick, and rebuilds what that needs when it has changed.
func (r *revision) repick() {
	pick := r.config.Pick
	if pick == PickAuto {
		switch {
		case r.count.unlimited > 0:
			pick = PickLeastInFlight
		case r.count.many > 0:
			pick = PickRoundRobin
		default:
			pick = PickFirstAvailable
		}
	}
	if pick == r.pick {
		return
	}
	r.pick = pick
	r.fewest.reset()
	for _, p := range r.order {
		if p != nil {
			r.reindex(p)
		}
	}
}
