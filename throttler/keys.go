package throttler

import (
	"container/list"
	"sync/atomic"
	"time"
)

// Bounds on the keys that are remembered while none of their requests takes its turn or waits: of one revision, and over all. A
// revision may remember as many as are free, and a few at any rate, so that none leaves the others without.
const (
	fewRevisionKeys = 1 << 6
	maxRevisionKeys = 1 << 16
	maxKeys         = 1 << 18
)

// affinity is what is known of a key. It is forgotten some time after its last request.
type affinity struct {
	key   uint64
	last  *pod    // that had its last request
	epoch int64   // since when, in microseconds since 1970: see Lease.KeyEpoch
	turn  *Turn   // of the request whose turn it is, if they take turns
	line  waiters // that wait for their turn
	waits int     // requests that wait, for their turn or for a pod

	home  *pod   // the best of all pods on the ring
	built uint64 // ring.builds then; or else home has to be looked for

	use *list.Element // in affinities.byUse
}

func (a *affinity) busy() bool { return a.turn != nil || a.waits > 0 }

// free says whether a request with the turn t may be the key's next.
func (a *affinity) free(t *Turn) bool { return a.turn == nil || a.turn == t }

// moveTo says that the key's next request goes to p, counts why, if that is another pod than the last one, and returns the
// epoch.
func (a *affinity) moveTo(p *pod, r *ring, c *counts) int64 {
	last := a.last
	if last != nil {
		c.Keys++
		if last.ID == p.ID {
			c.Kept++
			a.last = p
			return a.epoch
		}
		switch {
		case !last.listed || last.State != Ready:
			c.MovedGone++
		case last.backOff.why != inUse:
			c.MovedOut++
		case !last.hasRoom() || last.line.n > 0 || last.overloaded(r.many()):
			c.MovedFull++
		default:
			c.MovedHome++
		}
	}
	a.epoch = max(time.Now().UnixMicro(), a.epoch+1)
	a.last = p
	return a.epoch
}

// affinities are the keys of a revision.
type affinities struct {
	byKey map[uint64]*affinity
	byUse list.List // of *affinity; the one that was used last is at the back
}

// use finds what is known of a key, or begins to know it. Then, one that isn't in use may be forgotten for it.
func (as *affinities) use(key uint64, total *atomic.Int64) *affinity {
	a := as.byKey[key]
	if a == nil {
		if a = as.evict(total); a == nil {
			a = new(affinity)
			a.use = as.byUse.PushBack(a)
			total.Add(1)
		}
		*a = affinity{key: key, use: a.use}
		if as.byKey == nil {
			as.byKey = map[uint64]*affinity{}
		}
		as.byKey[key] = a
	}
	as.byUse.MoveToBack(a.use)
	return a
}

// evict forgets the key that has not been used for longest, if there are too many.
func (as *affinities) evict(total *atomic.Int64) *affinity {
	if n, free := len(as.byKey), maxKeys-int(total.Load()); n < fewRevisionKeys || n < min(free, maxRevisionKeys) {
		return nil
	}
	for range 8 { // those in use have been used lately, but for some that wait
		a := as.byUse.Front().Value.(*affinity)
		if !a.busy() {
			delete(as.byKey, a.key)
			return a
		}
		as.byUse.MoveToBack(a.use)
	}
	return nil
}

// forget forgets a key unless it is in use, or is forgotten already.
func (as *affinities) forget(a *affinity, total *atomic.Int64) {
	if as.byKey[a.key] == a && !a.busy() {
		as.byUse.Remove(a.use)
		delete(as.byKey, a.key)
		total.Add(-1)
	}
}

// forgetAll forgets all keys but those in use.
func (as *affinities) forgetAll(total *atomic.Int64) {
	for _, a := range as.byKey {
		as.forget(a, total)
	}
}
