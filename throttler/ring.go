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
	builds uint64
	load   int  // requests in flight and in line over all pods
	usable int  // pods that requests may wait for
	moved  bool // a pod has come into or gone out of what requests may wait for
}

const probes = 21

// manyInFlight is how many requests a pod may have before a key's next request goes elsewhere, if that is more than twice the mean and the pod
// has no limit, or the request would wait for it: Knative's container-concurrency-target-default.
const manyInFlight = 100

// place is where a pod stands on the ring.
type place struct {
	point uint64
	pod   *pod
}

// ringSet is a set of the pods on the ring.
type ringSet uint8

const (
	onTheRing ringSet = iota
	ownWithRoom
	anyWithRoom  // remote ones too
	ownToWaitFor // whatever their load
	anyToWaitFor
	setsOfRing
)

// minFresh is how many pods may have come before the ring is built although nothing is looked for.
const minFresh = 64

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
	r.noteWaitable(p)
	if len(r.fresh) > max(minFresh, len(r.places)) {
		r.build()
	}
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
	room := p.hasSlot()
	wait := p.waitable()
	for set, in := range [setsOfRing]bool{true, room && p.Own, room && (p.Own || p.Spillover), wait && p.Own, wait} {
		if in {
			r.sets[set].set(p.place)
		} else {
			r.sets[set].clear(p.place)
		}
	}
}

// veto says which pods of a set a request doesn't go to.
type veto struct {
	avoid avoided
	many  int // the load from which a pod gets no more requests of keys that another could have
}

// veto is for requests that may go to any pod below twice the mean load, or to one that has not what it may have in flight
// ("Consistent hashing with bounded loads", Mirrokni and others, 2016). Of the pods to wait for one always is below. Who may wait stays with a
// pod that has fewer than manyInFlight: the mean of a few requests says nothing, and a key that moves leaves its state behind.
func (r *ring) veto(set ringSet, avoid avoided) veto {
	switch set {
	case ownToWaitFor:
		return veto{avoid, math.MaxInt}
	case anyToWaitFor:
		return veto{avoid, max(r.many(), manyInFlight)}
	default:
		return veto{avoid, r.many()}
	}
}

// many is twice the mean load.
func (r *ring) many() int { return 2 * (r.load/max(r.usable, 1) + 1) }

func (v *veto) has(p *pod) bool { return p.overloaded(v.many) || v.avoid.has(p) }

// choose finds the pod of a set with the best score for key, but none of those to avoid, or with much more to do than the
// others; nil when there is none.
func (r *ring) choose(set ringSet, key *affinity, avoid avoided) *pod {
	if r.stale {
		r.build()
	}
	in := &r.sets[set]
	if in.next(0) < 0 {
		return nil
	}
	if key.built != r.builds {
		key.home, key.built = r.search(&r.sets[onTheRing], key.key, veto{many: math.MaxInt}), r.builds
	}
	v := r.veto(set, avoid)
	if in.has(key.home.place) && !v.has(key.home) { // the best of all, so it is the best of a set too
		return key.home
	}
	return r.search(in, key.key, v)
}

// search finds the pod of a set, which isn't empty, with the best score.
func (r *ring) search(in *bitset, key uint64, v veto) *pod {
	var best *pod
	nearest := uint64(math.MaxUint64)
	for i := range uint64(probes) {
		probe := scramble(key + i*0x9e3779b97f4a7c15) // the increment of SplitMix64
		at := int(r.first[probe>>r.shift])
		for at < len(r.places) && r.places[at].point < probe {
			at++
		}
		first := in.nextAround(at)
		for at = first; ; {
			d := r.places[at].point - probe
			if best != nil && d >= nearest {
				break
			}
			if p := r.places[at].pod; !v.has(p) {
				best, nearest = p, d
				break
			}
			if at = in.nextAround(at + 1); at == first {
				break
			}
		}
	}
	return best
}

// build sorts the pods that have come in among the others, and works out sets and index again. It costs 0.2 µs a
// pod.
func (r *ring) build() {
	byPoint := func(a, b place) int {
		if a.point != b.point {
			return cmp.Compare(a.point, b.point)
		}
		return cmp.Compare(a.pod.ID, b.pod.ID) // which would be read for each comparison with cmp.Or
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
	r.builds++

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
