package broker

import "sync"

// buffers are used again. One that has become large isn't.
type buffers struct{ pool sync.Pool }

const largestBuffer = 64 << 10

func (b *buffers) get() *[]byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return buf
	}
	return new([]byte)
}

func (b *buffers) put(buf *[]byte) {
	if cap(*buf) <= largestBuffer {
		*buf = (*buf)[:0]
		b.pool.Put(buf)
	}
}
