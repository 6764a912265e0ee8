package hpack

import (
	"encoding/binary"
	"slices"
	"sync"
)

// lengths are those of the symbols' codes (RFC 7541 appendix B). The code is canonical: codes of a length are
// consecutive, in the order of their symbols, so that the lengths say all.
var lengths = [eos + 1]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
	eos: 30,
}

const (
	eos      = 256 // the symbol that pads and must not occur
	shortest = 5   // bits of a code
	longest  = 30
	prefix   = 12 // bits that are looked up at once: two of the frequent symbols, in 16 KiB
)

// huffman decodes the code of RFC 7541 appendix B.
type huffman struct {
	quick   [1 << prefix]step
	ends    [longest + 1]uint64 // by length: the first code beyond those of it, at the top of 32 bits
	offsets [longest + 1]uint32 // by length: what a code is to be lessened by for its place in symbols
	symbols [eos + 1]uint16     // in the order of their codes
}

// step is what some bits start with: up to two symbols in the low bytes, how many bits these have, and their number. The
// zero value says that no whole symbol is there.
type step uint32

func newStep(first, second uint16, bits, n int) step {
	return step(first) | step(second)<<8 | step(bits)<<16 | step(n)<<24
}

func (s step) bits() int { return int(s >> 16 & 0xff) }
func (s step) n() int    { return int(s >> 24) }

// theHuffman is built when it is first needed: a process without HTTP/2 doesn't pay for it.
var theHuffman = sync.OnceValue(newHuffman)

func newHuffman() *huffman {
	h := &huffman{}
	code, place := uint32(0), uint32(0)
	for length := shortest; length <= longest; length++ {
		code <<= 1
		h.offsets[length] = code - place
		for symbol, l := range lengths {
			if int(l) == length {
				h.symbols[place] = uint16(symbol)
				code++
				place++
			}
		}
		h.ends[length] = uint64(code) << (32 - length)
	}
	for i := range h.quick {
		acc := uint64(i) << (64 - prefix)
		first, n := h.one(acc)
		if n > prefix {
			continue
		}
		h.quick[i] = newStep(first, 0, n, 1)
		if second, m := h.one(acc << n); n+m <= prefix {
			h.quick[i] = newStep(first, second, n+m, 2)
		}
	}
	return h
}

// one decodes the symbol at the top of acc.
func (h *huffman) one(acc uint64) (symbol uint16, bits int) {
	top := acc >> 32
	bits = shortest
	for top >= h.ends[bits] {
		bits++
	}
	return h.symbols[uint32(top>>(32-bits))-h.offsets[bits]], bits
}

// decode appends what src stands for to dst.
func (h *huffman) decode(dst, src []byte) ([]byte, error) {
	at := len(dst)
	dst = slices.Grow(dst, len(src)*8/shortest+2) // a step stores two bytes
	dst = dst[:cap(dst)]
	var acc uint64 // the bits that are next, from its top; behind the last there are zeros
	left := 0      // how many of them are counted
	for {
		if left < longest {
			if len(src) >= 8 {
				acc |= binary.BigEndian.Uint64(src) >> left
				src = src[(63-left)>>3:]
				left |= 56 // what these whole bytes add
			} else {
				for ; left <= 56 && len(src) > 0; left += 8 {
					acc |= uint64(src[0]) << (56 - left)
					src = src[1:]
				}
			}
		}
		s := h.quick[acc>>(64-prefix)]
		if s == 0 || s.bits() > left {
			symbol, bits := h.one(acc)
			if bits > left {
				break
			}
			if symbol == eos {
				return nil, errHuffman
			}
			s = newStep(symbol, 0, bits, 1)
		}
		binary.LittleEndian.PutUint16(dst[at:], uint16(s))
		at += s.n()
		acc <<= s.bits()
		left -= s.bits()
	}
	// The padding is the start of EOS (RFC 7541 §5.2), which is ones.
	if left > 7 || acc != ^uint64(0)<<(64-left) {
		return nil, errHuffman
	}
	return dst[:at], nil
}
