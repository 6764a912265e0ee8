package throttler

import "sync/atomic"

// find is the revision's entry, or nil.
func (t *Throttler) find(id RevisionID) *revision {
	t.mu.RLock()
	r := t.revisions[id]
	t.mu.RUnlock()
	return r
}

// writable is the revision's entry with update held, made if need be. Locks are taken in the order update, then the
// revision's mu or the throttler's: an entry found may have been taken out before its update could be locked.
func (t *Throttler) writable(id RevisionID) *revision {
	for {
		r := t.findOrMake(id)
		r.update.Lock()
		if !r.removed {
			return r
		}
		r.update.Unlock()
	}
}

func (t *Throttler) findOrMake(id RevisionID) *revision {
	if r := t.find(id); r != nil {
		return r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.revisions[id]
	if r == nil {
		r = newRevision(t, id)
		t.revisions[id] = r
	}
	return r
}

// forget takes an entry out that has nothing to keep: no SetRevision, no backends, no leases.
func (t *Throttler) forget(r *revision) {
	r.mu.Lock()
	keep := r.known
	r.mu.Unlock()
	if keep {
		return
	}
	r.update.Lock()
	defer r.update.Unlock()
	r.mu.Lock()
	idle := !r.known && r.count.Backends == 0 && r.count.InFlight == 0
	r.mu.Unlock()
	if !idle || r.removed {
		return
	}
	r.removed = true
	t.mu.Lock()
	delete(t.revisions, r.id)
	t.mu.Unlock()
}

// reserve counts a waiter with what it holds, unless that would be beyond the bounds over all revisions.
func (t *Throttler) reserve(bytes int64) bool {
	if !addUpTo(&t.waiting, 1, int64(t.config.MaxWaiting)) {
		t.overloaded.Add(1)
		return false
	}
	if !addUpTo(&t.waitingBytes, bytes, t.config.MaxWaitingBytes) {
		t.waiting.Add(-1)
		t.overloaded.Add(1)
		return false
	}
	return true
}

func (t *Throttler) unreserve(bytes int64) {
	t.waiting.Add(-1)
	t.waitingBytes.Add(-bytes)
}

// addUpTo adds n unless v would be more than bound. An add that is taken back could refuse others meanwhile.
func addUpTo(v *atomic.Int64, n, bound int64) bool {
	for {
		old := v.Load()
		if n > bound-old {
			return false
		}
		if v.CompareAndSwap(old, old+n) {
			return true
		}
	}
}
