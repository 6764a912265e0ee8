package proxy

// backlog has the bytes of a body that wait, in blocks that the bodies of a shard share: a large body that is read faster than it is
// written leaves no garbage, and isn't copied as it grows.
type backlog struct {
	first, last *block
	gone        int // of first
	n           int // bytes
}

// block has a size that Go's allocator has too; its content is a little less than the largest frame.
type block struct {
	next *block
	n    int
	data [16<<10 - 16]byte
}

// blocks are those that no body needs.
type blocks struct {
	first *block
	n     int
}

// maxSpareBlocks are as many as one body at full speed fills.
const maxSpareBlocks = 64

func (s *blocks) get() *block {
	b := s.first
	if b == nil {
		return new(block)
	}
	s.first, b.next = b.next, nil
	s.n--
	return b
}

func (s *blocks) put(b *block) {
	if s.n < maxSpareBlocks {
		b.n, b.next, s.first = 0, s.first, b
		s.n++
	}
}

// push adds p at the end.
func (q *backlog) push(p []byte, spare *blocks) {
	q.n += len(p)
	for len(p) > 0 {
		switch b := q.last; {
		case b == nil:
			q.first = spare.get()
			q.last = q.first
		case b.n == len(b.data):
			b.next = spare.get()
			q.last = b.next
		default:
			n := copy(b.data[b.n:], p)
			b.n += n
			p = p[n:]
		}
	}
}

// head is what comes first, a part of it all.
func (q *backlog) head() []byte { return q.first.data[q.gone:q.first.n] }

// pop drops n bytes of the head.
func (q *backlog) pop(n int, spare *blocks) {
	q.n -= n
	if q.gone += n; q.gone < q.first.n {
		return
	}
	b := q.first
	if q.first, q.gone = b.next, 0; q.first == nil {
		q.last = nil
	}
	spare.put(b)
}

// drop drops everything.
func (q *backlog) drop(spare *blocks) {
	for q.n > 0 {
		q.pop(len(q.head()), spare)
	}
}

// memory is what the blocks take.
func (q *backlog) memory() int {
	const content = len(block{}.data)
	return (q.gone + q.n + content - 1) / content * (content + 16)
}
