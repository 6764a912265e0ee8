package throttler

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// ring finds the pod for a key by rendezvous hashing: every pod has a score for every key, and of the pods that may be used
// the one with the best score gets the request. So a pod that comes or goes moves no key but its own, and activators that
// know the same pods agree without talking to each other.
//
// The score is chosen so that the best can be searched for instead of compared with all: each pod is a point on a circle
// of 2⁶⁴, each key several, its probes, and the score is the distance from the nearest probe to the pod, clockwise
// ("Multi-probe consistent hashing", Appleton and O'Reilly, 2015). With 21 probes the pod with most keys has about 5 % more
// than the mean.
type ring struct {
	on     bool    // there has been a request with a key
	stale  bool    // pods have come or gone
	places []place // by point
	merged []place // what the next places are merged in
	fresh  []place
	first  []int32 // by the leading bits of a point: the first place at or after them
	shift  int     // by which those bits are the leading ones
	sets   [setsOfRing]bitset
	load   int  // requests in flight and in line over all pods
	usable int  // pods that requests may wait for
	moved  bool // a pod has come into or gone out of what requests may wait for
}

const probes = 21

// manyInFlight is how many requests a pod without a limit may have before a key's next request goes elsewhere, if that is
// more than twice the mean: Knative's container-concurrency-target-default.
const manyInFlight = 100

// place is where a pod stands on the ring.
type place struct {
	point uint64
	pod   *pod
}

// ringSet is a set of the pods on the ring.
type ringSet uint8

const (
	ownWithRoom  ringSet = iota
	anyWithRoom          // remote ones too
	ownToWaitFor         // whatever their load
	anyToWaitFor
	setsOfRing
)

// Key is what requests with one affinity have in common, as Demand.Key; never 0. All activators compute the same.
func Key(value string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(value) {
		h = (h ^ uint64(value[i])) * 1099511628211
	}
	return max(scramble(h), 1)
}

// scramble is the finalizer of SplitMix64: every bit of the result depends on every bit of x.
func scramble(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// start builds the ring, for a revision that gets its first key.
func (r *ring) start(pods []*pod) {
	r.on = true
	for _, p := range pods {
		if p != nil {
			r.add(p)
		}
	}
}

// add puts a listed pod on the ring.
func (r *ring) add(p *pod) {
	if !r.on {
		return
	}
	r.fresh = append(r.fresh, place{Key(p.ID), p})
	r.stale, p.onRing = true, true
	r.load += p.load() - p.counted
	p.counted = p.load()
}

// remove takes a pod that isn't listed any more off the ring.
func (r *ring) remove(p *pod) {
	if !p.onRing {
		return
	}
	r.stale, p.onRing = true, false
	r.load -= p.counted
	p.counted = 0
	r.noteWaitable(p)
}

// update is called after each change of what a pod has or may have.
func (r *ring) update(p *pod) {
	if !p.onRing {
		return
	}
	r.load += p.load() - p.counted
	p.counted = p.load()
	r.noteWaitable(p)
	if !r.stale {
		r.put(p)
	}
}

// noteWaitable notices that other requests than before may wait for p.
func (r *ring) noteWaitable(p *pod) {
	now := [2]bool{p.waitable(), p.waitable() && p.Own}
	if p.wasWaitable == now {
		return
	}
	if p.wasWaitable[0] {
		r.usable--
	}
	if now[0] {
		r.usable++
	}
	p.wasWaitable, r.moved = now, true
}

// put enters p in the sets that it belongs to.
func (r *ring) put(p *pod) {
	below := p.load() < r.bound(p)
	room := below && p.usable() && p.hasRoom()
	wait := p.waitable()
	for set, in := range [setsOfRing]bool{room && p.Own, room && (p.Own || p.Spillover), wait && p.Own, wait && below} {
		if in {
			r.sets[set].set(p.place)
		} else {
			r.sets[set].clear(p.place)
		}
	}
}

// bound is the load from which p gets no more requests of keys that another pod could have: twice the mean, but at least
// what it may have in flight ("Consistent hashing with bounded loads", Mirrokni and others, 2016).
func (r *ring) bound(p *pod) int {
	least := p.Slots
	if least <= 0 {
		least = manyInFlight
	}
	return max(least, 2*(r.load/max(r.usable, 1)+1))
}

// choose finds the pod of a set with the best score for key, but none of those to avoid; nil when there is none.
func (r *ring) choose(set ringSet, key uint64, avoid avoided) *pod {
	if r.stale {
		r.build()
	}
	in := &r.sets[set]
	if in.next(0) < 0 {
		return nil
	}
	var best *pod
	nearest := uint64(math.MaxUint64)
	for i := range uint64(probes) {
		probe := scramble(key + i*0x9e3779b97f4a7c15) // the increment of SplitMix64
		if at := r.after(in, probe, avoid); at != nil {
			if d := at.point - probe; best == nil || d < nearest {
				best, nearest = at.pod, d
			}
		}
	}
	return best
}

// after finds the first place of a set clockwise from a point, but none of a pod to avoid; nil when there is none.
func (r *ring) after(in *bitset, point uint64, avoid avoided) *place {
	i := int(r.first[point>>r.shift])
	for i < len(r.places) && r.places[i].point < point {
		i++
	}
	first := in.nextAround(i)
	for i = first; ; {
		at := &r.places[i]
		if !avoid.has(at.pod) {
			return at
		}
		if i = in.nextAround(i + 1); i == first {
			return nil
		}
	}
}

// build sorts the pods that have come in among the others, and works out sets and index again. It costs a few nanoseconds
// a pod.
func (r *ring) build() {
	byPoint := func(a, b place) int {
		return cmp.Or(cmp.Compare(a.point, b.point), cmp.Compare(a.pod.ID, b.pod.ID))
	}
	gone := func(p place) bool { return !p.pod.onRing }
	r.fresh = slices.DeleteFunc(r.fresh, gone)
	slices.SortFunc(r.fresh, byPoint)
	r.fresh = slices.Compact(r.fresh) // one may have come, gone and come again
	old, fresh := slices.DeleteFunc(r.places, gone), r.fresh
	all := r.merged[:0]
	for len(old) > 0 && len(fresh) > 0 {
		switch c := byPoint(old[0], fresh[0]); {
		case c < 0:
			all, old = append(all, old[0]), old[1:]
		case c > 0:
			all, fresh = append(all, fresh[0]), fresh[1:]
		default: // the same
			old = old[1:]
		}
	}
	all = append(append(all, old...), fresh...)
	r.places, r.merged = all, r.places[:0]
	clear(r.fresh)
	r.fresh, r.stale = r.fresh[:0], false

	n := len(all)
	size := bits.Len(uint(n)) // about a place for each two entries
	r.shift = 64 - size
	r.first = slices.Grow(r.first[:0], 1<<size)[:1<<size]
	at := 0
	for i := range r.first {
		for at < n && all[at].point>>r.shift < uint64(i) {
			at++
		}
		r.first[i] = int32(at)
	}
	for set := range r.sets {
		r.sets[set].reset(n)
	}
	for i := range all {
		all[i].pod.place = i
		r.put(all[i].pod)
	}
}

// refresh works the sets out again, and reports whether there are pods to wait for. The bound that a pod was held against is
// that of its own last change, so that a set may be empty although there is a pod below the bound of now.
func (r *ring) refresh() bool {
	waitable := false
	for i := range r.places {
		p := r.places[i].pod
		r.put(p)
		waitable = waitable || p.waitable()
	}
	return waitable
}
