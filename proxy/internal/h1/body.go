package h1

// Body is what remains of a body: Left bytes, chunks, or whatever comes until the connection ends.
type Body struct {
	left   int64 // -1: until the end of the connection
	chunks *Chunks
	done   bool
}

// Start begins a body of n bytes; -1: until the end of the connection.
func (b *Body) Start(n int64) { *b = Body{left: n, done: n == 0} }

// StartChunked begins a body in chunks.
func (b *Body) StartChunked(c *Chunks) {
	*c = Chunks{trailer: c.trailer[:0]}
	*b = Body{chunks: c}
}

// Done reports whether the body has been decoded to its end.
func (b *Body) Done() bool { return b.done }

// Chunked reports whether it is in chunks.
func (b *Body) Chunked() bool { return b.chunks != nil }

// Left is how many bytes are to come; -1 when nobody knows.
func (b *Body) Left() int64 {
	if b.chunks != nil {
		return -1
	}
	return b.left
}

// Skip says that n bytes of a body of known length have been moved by other means.
func (b *Body) Skip(n int64) {
	b.left -= n
	b.done = b.left == 0
}

// Decode moves content from src to dst, which has room for as much and may be src itself, and returns how much of each
// was used. The error is an Error.
func (b *Body) Decode(dst, src []byte) (nd, ns int, err error) {
	if b.done {
		return 0, 0, nil
	}
	if b.chunks != nil {
		nd, ns, err = b.chunks.decode(dst, src)
		b.done = b.chunks.state == chunkDone
		return nd, ns, err
	}
	n := len(src)
	if b.left >= 0 {
		n = int(min(b.left, int64(n)))
		b.left -= int64(n)
		b.done = b.left == 0
	}
	return copy(dst, src[:n]), n, nil
}

// MaxTrailer bounds the bytes of a trailer section.
const MaxTrailer = 64 << 10

// Trailers appends the fields that came after the last chunk.
func (b *Body) Trailers(f *Fields) error {
	if b.chunks == nil || len(b.chunks.trailer) <= 2 {
		return nil
	}
	return f.parse(string(b.chunks.trailer), MaxFields)
}

// AppendRewound appends to dst a body of which held is what was decoded so far, so that the bytes of the wire that follow
// go on from there: what a parser that has not seen the beginning has to be given.
func (b *Body) AppendRewound(dst, held []byte) []byte {
	if b.chunks == nil {
		return append(dst, held...)
	}
	return b.chunks.appendRewound(dst, held)
}
