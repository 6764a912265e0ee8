package proxy

import "sync"

// readBufferSize holds most heads, and small bodies with them.
const readBufferSize = 8 << 10

// readBuffer is what has been read from a connection and not used yet. Its memory is borrowed while there is something.
type readBuffer struct {
	pool     *sync.Pool // of *[readBufferSize]byte
	borrowed *[readBufferSize]byte
	buf      []byte // the borrowed one, or a larger one
	at, to   int    // what there is: buf[at:to]
}

func (b *readBuffer) bytes() []byte { return b.buf[b.at:b.to] }
func (b *readBuffer) len() int      { return b.to - b.at }

// skip says that n bytes have been used.
func (b *readBuffer) skip(n int) {
	if b.at += n; b.at == b.to {
		b.at, b.to = 0, 0
	}
}

// added says that n bytes have been read into space.
func (b *readBuffer) added(n int) { b.to += n }

// space is room to read into: never none.
func (b *readBuffer) space() []byte {
	switch {
	case b.buf == nil:
		b.borrowed = b.pool.Get().(*[readBufferSize]byte)
		b.buf = b.borrowed[:]
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
func (b *readBuffer) rest() {
	if b.at == b.to && b.buf != nil {
		b.drop()
	}
}

// drop forgets what there is.
func (b *readBuffer) drop() {
	if b.borrowed != nil {
		b.pool.Put(b.borrowed)
	}
	b.borrowed, b.buf, b.at, b.to = nil, nil, 0, 0
}
