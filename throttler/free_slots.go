package throttler

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// freeSlots knows which of a revision's pods have a free slot, and picks one. A listed pod has a position.
type freeSlots struct {
	order   []*pod // by position; nil where a pod has left
	vacant  bitset // positions that pods have left
	own     bitset // positions of pods with an ownSlot
	remote  bitset // positions of pods with a spilloverSlot
	remotes int    // how many these are
	pick    Pick   // never PickAuto
	fewest  fewest // the pods of own, kept only for PickLeastInFlight
	cursor  int    // position after that of the last own pod taken
	random  rand.PCG
	ring    ring // the same pods for requests with a key
}

func (s *freeSlots) init() {
	s.pick = PickFirstAvailable
	s.random.Seed(rand.Uint64(), rand.Uint64())
}

// roll is a random number below n.
func (s *freeSlots) roll(n int) int {
	if n <= 1 {
		return 0
	}
	hi, _ := bits.Mul64(s.random.Uint64(), uint64(n))
	return int(hi)
}

// avoided are the IDs of pods that a request should not go to; empty ones are none.
type avoided [2]string

func (a *avoided) has(p *pod) bool { return p.ID == a[0] || p.ID == a[1] }

// choose finds the pod for a request: that of its key, else an own one, else one for a spillover request, and one of those to
// avoid only when no other has a free slot. It returns nil when there is none.
func (s *freeSlots) choose(w want) *pod {
	if w.key != nil {
		set := anyWithRoom
		if w.noSpillover {
			set = ownWithRoom
		}
		if p := s.ring.choose(set, w.key, w.avoid); p != nil {
			return p
		}
	}
	return s.chooseAny(w.avoid, w.noSpillover)
}

// chooseToWaitFor finds the pod for a request that waits for its key's pod also when that is full.
func (s *freeSlots) chooseToWaitFor(w want) *pod {
	set := anyToWaitFor
	if w.noSpillover {
		set = ownToWaitFor
	}
	p := s.ring.choose(set, w.key, w.avoid)
	if p == nil && w.avoid != (avoided{}) {
		p = s.ring.choose(set, w.key, avoided{})
	}
	return p
}

// chooseAny is choose for a request without a key.
func (s *freeSlots) chooseAny(avoid avoided, noSpillover bool) *pod {
	if p := s.chooseOwn(avoid); p != nil {
		return p
	}
	if !noSpillover {
		if p := s.chooseRemote(avoid); p != nil {
			return p
		}
	}
	if avoid == (avoided{}) {
		return nil
	}
	return s.chooseAny(avoided{}, noSpillover)
}

func (s *freeSlots) chooseOwn(avoid avoided) *pod {
	switch s.pick {
	case PickLeastInFlight:
		return s.fewest.pick(s.roll, avoid)
	case PickRoundRobin:
		return s.at(s.own, s.cursor, avoid)
	default:
		return s.at(s.own, 0, avoid)
	}
}

// chooseRemote begins at a random position, so that several activators don't choose the same pod.
func (s *freeSlots) chooseRemote(avoid avoided) *pod {
	if s.remotes == 0 {
		return nil
	}
	return s.at(s.remote, s.roll(len(s.order)), avoid)
}

// at finds the pod in the set at a position or the next after it, around the end.
func (s *freeSlots) at(set bitset, position int, avoid avoided) *pod {
	first := set.nextAround(position)
	for i := first; i >= 0; {
		if p := s.order[i]; !avoid.has(p) {
			return p
		}
		if i = set.nextAround(i + 1); i == first {
			break
		}
	}
	return nil
}

// update is called after each change of a pod's inFlight, line, Backend, listed or backOff.
func (s *freeSlots) update(p *pod) {
	s.ring.update(p)
	if now := p.offers(); now != p.offered {
		s.move(p, now)
	}
	if s.pick != PickLeastInFlight {
		return
	}
	switch {
	case p.offered != ownSlot:
		if p.rank != unranked {
			s.fewest.remove(p)
		}
	case p.rank == unranked:
		s.fewest.add(p, p.inFlight)
	default:
		s.fewest.move(p, p.inFlight)
	}
}

// move takes p from one set to another.
func (s *freeSlots) move(p *pod, to offer) {
	switch p.offered {
	case ownSlot:
		s.own.clear(p.position)
	case spilloverSlot:
		s.remote.clear(p.position)
		s.remotes--
	}
	switch to {
	case ownSlot:
		s.own.set(p.position)
	case spilloverSlot:
		s.remote.set(p.position)
		s.remotes++
	}
	p.offered = to
}

// grow makes room for so many more pods.
func (s *freeSlots) grow(more int) {
	n := len(s.order) + more
	s.order = slices.Grow(s.order, more)
	s.vacant.grow(n)
	s.own.grow(n)
	s.remote.grow(n)
}

// add gives p the first vacant position, or the one after the last. There is room: see grow.
func (s *freeSlots) add(p *pod) {
	i := s.vacant.next(0)
	if i < 0 {
		i = len(s.order)
		s.order = append(s.order, nil)
	} else {
		s.vacant.clear(i)
	}
	s.order[i], p.position = p, i
	s.ring.add(p)
}

// remove takes the position from p, which offers no slot any more.
func (s *freeSlots) remove(p *pod) {
	s.order[p.position] = nil
	s.vacant.set(p.position)
	s.ring.remove(p)
}

// pickBy changes how a pod is picked.
func (s *freeSlots) pickBy(pick Pick) {
	if pick == s.pick {
		return
	}
	s.pick = pick
	s.fewest.reset()
	for _, p := range s.order {
		if p != nil {
			s.update(p)
		}
	}
}
