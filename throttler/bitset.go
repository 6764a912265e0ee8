package throttler

import "math/bits"

// bitset is a set of small numbers that finds its next member in one step per level: each bit of a level says whether a
// 64-bit word of the level below is not zero, and the top level is a single word. Three levels are enough for 262 144 pods.
type bitset struct {
	levels [][]uint64
}

// grow makes room for the numbers below n.
func (s *bitset) grow(n int) {
	words := (n + 63) / 64
	if len(s.levels) > 0 && words <= len(s.levels[0]) {
		return
	}
	base := make([]uint64, max(words, 1))
	if len(s.levels) > 0 {
		base = make([]uint64, max(words, 2*len(s.levels[0])))
		copy(base, s.levels[0])
	}
	s.levels = append(s.levels[:0], base)
	for below := base; len(below) > 1; {
		level := make([]uint64, (len(below)+63)/64)
		for i, w := range below {
			if w != 0 {
				level[i/64] |= 1 << (i % 64)
			}
		}
		s.levels = append(s.levels, level)
		below = level
	}
}

// reset makes room for the numbers below n, and empties the set.
func (s *bitset) reset(n int) {
	s.grow(n)
	for _, level := range s.levels {
		clear(level)
	}
}

func (s *bitset) set(i int) {
	for _, level := range s.levels {
		w := &level[i/64]
		old := *w
		*w |= 1 << (i % 64)
		if old != 0 {
			return
		}
		i /= 64
	}
}

func (s *bitset) clear(i int) {
	for _, level := range s.levels {
		w := &level[i/64]
		*w &^= 1 << (i % 64)
		if *w != 0 {
			return
		}
		i /= 64
	}
}

func (s *bitset) has(i int) bool { return s.levels[0][i/64]>>(i%64)&1 != 0 }

// next finds the lowest member from i on, or -1.
func (s *bitset) next(i int) int {
	for l, level := range s.levels {
		if i/64 >= len(level) {
			return -1
		}
		if w := level[i/64] >> (i % 64); w != 0 {
			return s.lowest(l, i+bits.TrailingZeros64(w))
		}
		i = i/64 + 1
	}
	return -1
}

// lowest goes down from bit i of level l to the lowest member under it.
func (s *bitset) lowest(l, i int) int {
	for l--; l >= 0; l-- {
		i = i*64 + bits.TrailingZeros64(s.levels[l][i])
	}
	return i
}

// nextAround is next, and after the last member the first.
func (s *bitset) nextAround(i int) int {
	if j := s.next(i); j >= 0 {
		return j
	}
	return s.next(0)
}
