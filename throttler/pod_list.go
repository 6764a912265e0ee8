package throttler

import (
	"slices"
	"sync"
)

// podList has the pods of a revision by ID. Updates are worked out under its lock alone, so that comparing long lists of
// pods delays no request.
type podList struct {
	mu      sync.Mutex // one update at a time; taken before revision.mu
	pods    map[string]*pod
	left    []*pod // no longer listed, with leases that had not ended at the last update
	round   uint64 // counts calls of replaceLocked
	removed bool   // the revision is no longer in Throttler.revisions
}

// change is what an update does to one pod: list it as it should be, or take it off the list.
type change struct {
	pod      *pod
	to       Backend
	endpoint *endpoint // used when it differs from the pod's; allocated before revision.mu is taken
	unlist   bool
}

func (p *pod) change(to Backend) change {
	return change{pod: p, to: to, endpoint: &endpoint{id: to.ID, addr: to.Addr, declines: to.Declines}}
}

// replaceLocked returns what changes when all is the whole list.
func (l *podList) replaceLocked(all []Backend) (changes []change) {
	l.round++
	for _, b := range all {
		p := l.podLocked(&b)
		if p.seen == l.round {
			continue
		}
		p.seen = l.round
		if !p.listed || p.Backend != b {
			changes = append(changes, p.change(b))
		}
	}
	for _, p := range l.pods {
		if p.listed && p.seen != l.round {
			changes = append(changes, change{pod: p, unlist: true})
		}
	}
	return changes
}

// patchLocked returns the changes of an update that names what changes. It costs nothing for other pods.
func (l *podList) patchLocked(upsert []Backend, gone []string) []change {
	changes := make([]change, 0, len(upsert)+len(gone))
	for _, id := range gone {
		if p := l.pods[id]; p != nil && p.listed {
			changes = append(changes, change{pod: p, unlist: true})
		}
	}
	for _, b := range upsert {
		// An earlier entry may change what it would be compared with, so all are applied.
		changes = append(changes, l.podLocked(&b).change(b))
	}
	return changes
}

// podLocked finds or makes the pod with b's ID, and sets that ID when b has none.
func (l *podList) podLocked(b *Backend) *pod {
	if b.ID == "" {
		b.ID = b.Addr
	}
	p := l.pods[b.ID]
	if p == nil {
		p = &pod{Backend: Backend{ID: b.ID}, rank: unranked}
		l.pods[b.ID] = p
	}
	return p
}

// forgetEndedLocked forgets the pods that have left and whose last lease has ended. It needs revision.mu too.
func (l *podList) forgetEndedLocked() {
	l.left = slices.DeleteFunc(l.left, func(p *pod) bool {
		if !p.listed && p.inFlight == 0 {
			delete(l.pods, p.ID)
		}
		return p.listed || p.inFlight == 0
	})
}
