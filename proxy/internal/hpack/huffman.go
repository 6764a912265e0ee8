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
	prefix   = 11 // bits that are looked up at once: two of the frequent symbols, in 8 KiB
)

// huffman decodes the code of RFC 7541 appendix B.
type huffman struct {
	quick   [1 << prefix]pair
	ends    [longest + 1]uint64 // by length: the first code beyond those of it, at the top of 32 bits
	offsets [longest + 1]uint32 // by length: what a code, in as many bits, is to be lessened by for its place in symbols
	symbols [eos + 1]uint16     // in the order of their codes
}

// pair is what a prefix starts with: up to two whole symbols.
type pair struct{ first, second, n, bits uint8 }

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
		p := &h.quick[i]
		top := uint64(i) << (64 - prefix)
		symbol, length := h.one(top)
		if length > prefix {
			continue
		}
		*p = pair{first: uint8(symbol), n: 1, bits: uint8(length)}
		if symbol, length = h.one(top << length); int(p.bits)+length <= prefix {
			p.second, p.n, p.bits = uint8(symbol), 2, p.bits+uint8(length)
		}
	}
	return h
}

// one decodes the symbol at the top of acc.
func (h *huffman) one(acc uint64) (symbol uint16, length int) {
	top := acc >> 32
	length = shortest
	for top >= h.ends[length] {
		length++
	}
	return h.symbols[uint32(top>>(32-length))-h.offsets[length]], length
}

// decode appends what src stands for to dst.
func (h *huffman) decode(dst, src []byte) ([]byte, error) {
	at := len(dst)
	dst = slices.Grow(dst, len(src)*8/shortest+2) // a pair is stored whole
	dst = dst[:cap(dst)]
	var acc uint64 // the bits that are next, at its top
	n := 0         // how many there are
	for len(src) >= 8 {
		acc |= binary.BigEndian.Uint64(src) >> n
		src = src[(63-n)>>3:]
		n |= 56
		for n >= prefix {
			p := h.quick[acc>>(64-prefix)]
			if p.n == 0 {
				symbol, length := h.one(acc)
				if symbol == eos {
					return nil, errHuffman
				}
				if length > n {
					break
				}
				p = pair{first: uint8(symbol), n: 1, bits: uint8(length)}
			}
			dst[at], dst[at+1] = p.first, p.second
			at += int(p.n)
			acc <<= p.bits
			n -= int(p.bits)
		}
	}
	for {
		for n <= 56 && len(src) > 0 {
			acc |= uint64(src[0]) << (56 - n)
			src = src[1:]
			n += 8
		}
		// Behind the last bit there are zeros here: a symbol counts when all its bits have come.
		symbol, length := h.one(acc)
		if length > n {
			break
		}
		if symbol == eos {
			return nil, errHuffman
		}
		dst[at] = uint8(symbol)
		at++
		acc <<= length
		n -= length
	}
	// The padding is the start of EOS (RFC 7541 §5.2), which is ones.
	if n > 7 || acc != ^uint64(0)<<(64-n) {
		return nil, errHuffman
	}
	return dst[:at], nil
}
