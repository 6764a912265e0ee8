package throttler

import (
	"net/netip"
	"sync"
)

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

// held is what waits, of a revision or of a client.
type held struct{ requests, bytes int64 }

// clients are those who have requests waiting.
type clients struct {
	mu   sync.Mutex
	held map[netip.Addr]held
}

// reserve counts a waiter with what it holds, unless that would be beyond the bounds over all revisions, or beyond the
// part of its revision, which holds so much, or of its client.
func (t *Throttler) reserve(by held, client netip.Addr, bytes int64) bool {
	t.clients.mu.Lock()
	defer t.clients.mu.Unlock()
	c := t.clients.held[client] // nothing of the zero one
	if !t.waiting.Take(1, by.requests, c.requests) {
		t.overloaded.Add(1)
		return false
	}
	if bytes > 0 && !t.waitingBytes.Take(bytes, by.bytes, c.bytes) {
		t.waiting.Give(1)
		t.overloaded.Add(1)
		return false
	}
	if client.IsValid() {
		t.clients.held[client] = held{c.requests + 1, c.bytes + bytes}
	}
	return true
}

func (t *Throttler) unreserve(client netip.Addr, bytes int64) {
	t.waiting.Give(1)
	t.waitingBytes.Give(bytes)
	if !client.IsValid() {
		return
	}
	t.clients.mu.Lock()
	defer t.clients.mu.Unlock()
	if c := t.clients.held[client]; c.requests > 1 {
		t.clients.held[client] = held{c.requests - 1, c.bytes - bytes}
	} else {
		delete(t.clients.held, client)
	}
}
