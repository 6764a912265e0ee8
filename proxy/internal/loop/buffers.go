package loop

const (
	newBuffer   = 4 << 10   // most answers are smaller
	largeBuffer = 16 << 10  // of these few are kept
	mostBuffer  = 160 << 10 // of output that was Full; larger ones aren't kept
	keepSmall   = 64        // a turn has seldom more connections with output
	keepLarge   = 16
)

// buffers are those of output that no connection has at the moment: less than 4 MiB.
type buffers struct{ small, large [][]byte }

func (b *buffers) get() []byte {
	if n := len(b.small); n > 0 {
		p := b.small[n-1]
		b.small = b.small[:n-1]
		return p
	}
	if n := len(b.large); n > 0 {
		p := b.large[n-1]
		b.large = b.large[:n-1]
		return p
	}
	return make([]byte, 0, newBuffer)
}

// put takes *p back, which is nil then.
func (b *buffers) put(p *[]byte) {
	switch n := cap(*p); {
	case n < newBuffer || n > mostBuffer:
	case n <= largeBuffer && len(b.small) < keepSmall:
		b.small = append(b.small, (*p)[:0])
	case n > largeBuffer && len(b.large) < keepLarge:
		b.large = append(b.large, (*p)[:0])
	}
	*p = nil
}
