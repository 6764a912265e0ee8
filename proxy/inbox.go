package proxy

import "sync"

// inboxSize holds most heads, and small bodies with them.
const inboxSize = 8 << 10

// inbox is what has been read from a connection and not used yet. Its memory is borrowed while there is something.
type inbox struct {
	pool   *sync.Pool // of *[inboxSize]byte
	loan   *[inboxSize]byte
	buf    []byte // the loan, or something larger
	at, to int    // what there is: buf[at:to]
}

func (b *inbox) bytes() []byte { return b.buf[b.at:b.to] }
func (b *inbox) len() int      { return b.to - b.at }

// skip says that n bytes have been used.
func (b *inbox) skip(n int) {
	if b.at += n; b.at == b.to {
		b.at, b.to = 0, 0
	}
}

// added says that n bytes have been read into space.
func (b *inbox) added(n int) { b.to += n }

// space is room to read into: never none.
func (b *inbox) space() []byte {
	switch {
	case b.buf == nil:
		b.loan = b.pool.Get().(*[inboxSize]byte)
		b.buf = b.loan[:]
	case b.to < len(b.buf):
	case b.at > 0:
		b.to = copy(b.buf, b.buf[b.at:b.to])
		b.at = 0
	default:
		larger := make([]byte, 2*len(b.buf))
		to := copy(larger, b.buf)
		b.drop()
		b.buf, b.to = larger, to
	}
	return b.buf[b.to:]
}

// rest gives the memory back if there is nothing in it.
func (b *inbox) rest() {
	if b.at == b.to && b.buf != nil {
		b.drop()
	}
}

// drop forgets what there is.
func (b *inbox) drop() {
	if b.loan != nil {
		b.pool.Put(b.loan)
	}
	b.loan, b.buf, b.at, b.to = nil, nil, 0, 0
}
