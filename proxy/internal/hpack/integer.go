package hpack

// readInt cuts an integer off b, which isn't empty; its first byte has it in the low bits (RFC 7541 §5.1).
func readInt(b []byte, bits uint) (n uint64, rest []byte, err error) {
	full := byte(1)<<bits - 1
	if v := b[0] & full; v < full {
		return uint64(v), b[1:], nil
	}
	return readLong(uint64(full), b[1:])
}

// readLong adds to n what follows the first byte.
func readLong(n uint64, b []byte) (uint64, []byte, error) {
	for i, c := range b {
		if i == 9 {
			return 0, nil, errInteger
		}
		n += uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, b[i+1:], nil
		}
	}
	return 0, nil, errTruncated
}

// appendInt appends n in a first byte of the pattern first, whose low bits are free, and as many more as it takes.
func appendInt(b []byte, first byte, bits uint, n uint64) []byte {
	full := uint64(1)<<bits - 1
	if n < full {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(full))
	for n -= full; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
