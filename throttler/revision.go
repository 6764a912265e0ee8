package throttler

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// keptGrants bounds how many ended leases' accounts a revision keeps for use again.
const keptGrants = 1024

// revision is one revision's pods, free slots and waiters. It may exist before SetRevision, to keep backends, and
// after DeleteRevision, to keep the accounts of leases that are still out.
type revision struct {
	id RevisionID
	t  *Throttler

	wakeUps atomic.Uint64 // counted by those who wake

	update  sync.Mutex // puts writers in a row; taken before mu
	pods    map[string]*pod
	left    []*pod // not listed any more, with leases out when last looked at
	rounds  uint64
	removed bool // out of the throttler's map

	mu     sync.Mutex
	known  bool
	config RevisionConfig

	unavailable error // why no pod is to be expected

	order  []*pod // by position; nil where a pod has left
	vacant bitset // positions that pods have left
	home   bitset // positions of own pods with a free slot
	remote bitset // positions of others' pods that may take a spillover request
	fewest fewest // the pods of home, kept only when pick asks for it
	pick   Pick   // as resolved: never PickAuto
	cursor int    // position after the last one taken

	backingOff backOffHeap
	timer      *time.Timer
	alarmAt    time.Time

	anywhere waiters // who would also go to another activator's pod
	homeOnly waiters // who would not; between the two lists the older goes first
	arrivals uint64
	drain    drain

	free   *grant
	nfree  int
	random rand.PCG
	count  counts
}

func newRevision(t *Throttler, id RevisionID) *revision {
	r := &revision{id: id, t: t, pods: map[string]*pod{}, pick: PickFirstAvailable}
	r.random.Seed(rand.Uint64(), rand.Uint64())
	return r
}

// roll is a random number below n.
func (r *revision) roll(n int) int {
	if n <= 1 {
		return 0
	}
	hi, _ := bits.Mul64(r.random.Uint64(), uint64(n))
	return int(hi)
}

// enter takes a slot, or with wait a place in the queue; tell is for a Place, or else nil.
func (r *revision) enter(d *Demand, wait bool, tell func()) (Lease, *waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.known {
		return Lease{}, nil, ErrUnknownRevision
	}
	if r.mayEnter(d.NoSpillover) {
		if p := r.choose(d.Not, d.NoSpillover); p != nil {
			return r.grant(p), nil, nil
		}
	}
	if !wait {
		return Lease{}, nil, nil
	}
	if r.hopeless() {
		return Lease{}, nil, r.unavailable
	}
	w, err := r.enqueue(d, tell)
	return Lease{}, w, err
}

// avoided are the IDs of pods that a request shall not go to; empty ones are none.
type avoided [2]string

func (a *avoided) has(p *pod) bool { return p.ID == a[0] || p.ID == a[1] }

// choose finds the pod for a request: an own one, else one for a spillover, and one of those to avoid only when there is no
// other with a free slot.
func (r *revision) choose(not avoided, noSpillover bool) *pod {
	if p := r.chooseHome(not); p != nil {
		return p
	}
	if !noSpillover {
		if p := r.chooseAbroad(not); p != nil {
			return p
		}
	}
	if not == (avoided{}) {
		return nil
	}
	return r.choose(avoided{}, noSpillover)
}

func (r *revision) chooseHome(not avoided) *pod {
	switch r.pick {
	case PickLeastInFlight:
		return r.fewest.pick(r.roll, not)
	case PickRoundRobin:
		return r.at(r.home, r.cursor, not)
	default:
		return r.at(r.home, 0, not)
	}
}

// chooseAbroad begins anywhere, so that several activators don't ask the same pod.
func (r *revision) chooseAbroad(not avoided) *pod {
	if r.count.remote == 0 {
		return nil
	}
	return r.at(r.remote, r.roll(len(r.order)), not)
}

// at finds the pod in the set at a position or the next after it, around the end.
func (r *revision) at(set bitset, position int, not avoided) *pod {
	first := set.nextAround(position)
	for i := first; i >= 0; {
		if p := r.order[i]; !not.has(p) {
			return p
		}
		if i = set.nextAround(i + 1); i == first {
			break
		}
	}
	return nil
}

// grant gives a lease on p, which has room.
func (r *revision) grant(p *pod) Lease {
	g := r.free
	if g != nil {
		r.free, g.next = g.next, nil
		r.nfree--
	} else {
		g = &grant{revision: r}
	}
	g.gen = (g.gen | spillBit) + 1
	if p.place == remote {
		g.gen |= spillBit
		r.count.SpilloverGrants++
		r.count.Spillover++
	} else {
		r.cursor = p.position + 1
	}
	g.pod, g.epoch = p, p.backOff.epoch
	p.inFlight++
	r.count.InFlight++
	r.count.Grants++
	r.reindex(p)
	return Lease{g: g, endpoint: p.endpoint, gen: g.gen}
}

func (r *revision) release(l Lease, o Outcome) {
	g := l.g
	r.mu.Lock()
	if g.gen != l.gen || g.pod == nil {
		r.count.DoubleReleases++
		r.mu.Unlock()
		r.t.doubleReleases.Add(1)
		return
	}
	p := g.pod
	if l.Spillover() {
		r.count.Spillover--
	}
	g.pod = nil
	p.inFlight--
	r.count.InFlight--
	if !p.listed && p.inFlight == 0 {
		r.count.Leaving--
	}
	r.judge(p, g, o)
	if r.nfree < keptGrants {
		g.next, r.free = r.free, g
		r.nfree++
	}
	r.reindex(p)
	woken := r.serve()
	if o == OK {
		r.succeed(p, &woken)
	}
	over := !r.known && r.count.InFlight == 0
	r.mu.Unlock()
	woken.wakeAll()
	if over {
		r.t.forget(r)
	}
}

// reindex puts p where it belongs after any change of it. Every change of inFlight, Backend, listed or backOff ends here.
func (r *revision) reindex(p *pod) {
	if to := p.offer(); to != p.place {
		r.displace(p, to)
	}
	if r.pick != PickLeastInFlight {
		return
	}
	switch {
	case p.place != atHome:
		if p.rank != unranked {
			r.fewest.remove(p)
		}
	case p.rank == unranked:
		r.fewest.add(p, p.inFlight)
	default:
		r.fewest.move(p, p.inFlight)
	}
}

// displace moves p between the sets of free slots.
func (r *revision) displace(p *pod, to place) {
	switch p.place {
	case atHome:
		r.home.clear(p.position)
	case remote:
		r.remote.clear(p.position)
		r.count.remote--
	}
	switch to {
	case atHome:
		r.home.set(p.position)
	case remote:
		r.remote.set(p.position)
		r.count.remote++
	}
	p.place = to
}
