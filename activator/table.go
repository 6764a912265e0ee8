package activator

import (
	"sync"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// table finds what is tracked of a revision.
type table struct {
	mu   sync.RWMutex
	byID map[throttler.RevisionID]*tracked
}

func (b *table) get(namespace, name string) *tracked {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.byID[throttler.RevisionID{Namespace: namespace, Name: name}]
}

func (b *table) all() []*tracked {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*tracked, 0, len(b.byID))
	for _, t := range b.byID {
		all = append(all, t)
	}
	return all
}

func (b *table) getOrMake(id throttler.RevisionID, a *Activator) *tracked {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.byID[id]
	if t == nil {
		t = newTracked(a, id)
		b.byID[id] = t
	}
	return t
}

func (b *table) remove(t *tracked) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, t.id)
}

// change calls f with the revision, locked, and reconciles. A revision of which nothing is known afterwards is forgotten.
func (a *Activator) change(id throttler.RevisionID, f func(*tracked)) {
	for {
		t := a.revisions.getOrMake(id, a)
		t.mu.Lock()
		if t.forgotten { // between the look-up and the lock
			t.mu.Unlock()
			continue
		}
		f(t)
		t.reconcileLocked()
		if t.emptyLocked() {
			t.forgotten = true
			a.revisions.remove(t)
		}
		t.mu.Unlock()
		return
	}
}

// UpdateRevision makes a revision known or changes it. Requests under way keep what they began with.
func (a *Activator) UpdateRevision(r Revision) {
	a.change(r.ID, func(t *tracked) { t.setRevisionLocked(r) })
}

// DeleteRevision fails the requests that wait for the revision, and those that come.
func (a *Activator) DeleteRevision(id throttler.RevisionID) {
	a.change(id, (*tracked).deleteRevisionLocked)
}

// UpdateEndpoints says which pods the revision has. New ones are probed at once.
func (a *Activator) UpdateEndpoints(id throttler.RevisionID, e Endpoints) {
	a.change(id, func(t *tracked) { t.setEndpointsLocked(e) })
}

// UpdateUnavailable says that no pod of the revision is to be expected, and why, in a sentence that clients read: as long as
// none can be used, requests are answered 503 (not_ready) with it instead of waiting, those that wait already included.
// An empty why takes it back. It is for sources that know more of their pods than endpoints.
func (a *Activator) UpdateUnavailable(id throttler.RevisionID, why string) {
	var err error
	if why != "" {
		err = &proxy.Error{Reason: proxy.NotReady, Text: why + "\n"}
	}
	a.throttler.SetUnavailable(id, err)
}

// UpdatePeers says which activators are in the path of the revision.
func (a *Activator) UpdatePeers(id throttler.RevisionID, peers []string) {
	a.change(id, func(t *tracked) { t.pods.setPeers(peers) })
}
