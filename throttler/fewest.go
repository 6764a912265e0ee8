package throttler

import "slices"

// fewest keeps pods sorted by how many requests they have in flight, in one array in which the pods of each count lie side
// by side. One request more or less is a swap to the edge of the count's range and a shift of that edge, which is O(1); add
// and remove move one pod of each higher count.
type fewest struct {
	pods  []*pod
	start []int32 // start[k] pods have fewer than k; the last entry is len(pods)
}

func (f *fewest) put(i int32, p *pod) {
	f.pods[i] = p
	p.rank = i
}

// reach extends start up to start[k].
func (f *fewest) reach(k int) {
	for len(f.start) <= k {
		f.start = append(f.start, int32(len(f.pods)))
	}
}

func (f *fewest) add(p *pod, count int) {
	f.reach(count + 1)
	i := int32(len(f.pods))
	f.pods = append(f.pods, p)
	for k := len(f.start) - 1; k > count; k-- {
		if first := f.start[k]; first != i {
			f.put(i, f.pods[first])
			i = first
		}
		f.start[k]++
	}
	f.put(i, p)
	p.ranked = count
}

func (f *fewest) remove(p *pod) {
	i := p.rank
	for k := p.ranked + 1; k < len(f.start); k++ {
		f.start[k]--
		if last := f.start[k]; last != i {
			f.put(i, f.pods[last])
			i = last
		}
	}
	f.pods[i] = nil
	f.pods = f.pods[:i]
	p.rank = unranked
	for n := len(f.start); n > 1 && f.start[n-2] == i; n-- {
		f.start = f.start[:n-1]
	}
}

// move says that p now has count in flight.
func (f *fewest) move(p *pod, count int) {
	for p.ranked < count {
		f.reach(p.ranked + 2)
		edge := &f.start[p.ranked+1]
		*edge--
		f.swap(p, *edge)
		p.ranked++
	}
	for p.ranked > count {
		edge := &f.start[p.ranked]
		f.swap(p, *edge)
		*edge++
		p.ranked--
	}
}

func (f *fewest) swap(p *pod, j int32) {
	i := p.rank
	f.put(i, f.pods[j])
	f.put(j, p)
}

// pick returns a pod with the fewest, by chance among equals, but none of those to avoid; nil when there is none. roll(n) is
// a random number below n.
func (f *fewest) pick(roll func(n int) int, avoid avoided) *pod {
	for from := 0; from < len(f.pods); {
		to := int(f.start[f.pods[from].ranked+1])
		if p := f.pickOf(from, to, roll, avoid); p != nil {
			return p
		}
		from = to
	}
	return nil
}

// pickOf is pick among the pods of a range. After a pod that is to be avoided it draws among those not drawn yet.
func (f *fewest) pickOf(from, to int, roll func(n int) int, avoid avoided) *pod {
	var drawn [len(avoid)]int // in ascending order
	for n := 0; n < to-from; n++ {
		i := from + roll(to-from-n)
		k := 0
		for ; k < n && i >= drawn[k]; k++ {
			i++
		}
		if p := f.pods[i]; !avoid.has(p) {
			return p
		}
		copy(drawn[k+1:], drawn[k:n])
		drawn[k] = i
	}
	return nil
}

// reset forgets all pods.
func (f *fewest) reset() {
	for _, p := range f.pods {
		p.rank = unranked
	}
	f.pods = slices.Delete(f.pods, 0, len(f.pods))
	f.start = f.start[:0]
}
