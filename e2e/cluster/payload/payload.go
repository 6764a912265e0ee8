// Package payload has a stream of bytes that both ends of a transfer can generate and check without storing it.
package payload

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
)

const block = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reader yields a fixed number of bytes in blocks that each begin with their number, so that a lost, doubled or swapped block
// changes the checksum.
type Reader struct {
	buf    []byte
	at     int // bytes of buf that have been read
	number uint64
	left   int64
}

// NewReader returns a Reader of n bytes, always the same for the same n.
func NewReader(n int64) *Reader {
	r := &Reader{buf: make([]byte, block), at: block, left: n}
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < block; i += 8 {
		binary.LittleEndian.PutUint64(r.buf[i:], random.Uint64())
	}
	return r
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.at == block {
		binary.LittleEndian.PutUint64(r.buf, r.number)
		r.number++
		r.at = 0
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.buf[r.at:])
	r.at += n
	r.left -= int64(n)
	return n, nil
}

// Sum reads r to its end and returns its length and CRC-32C.
func Sum(r io.Reader) (int64, uint32, error) {
	sum := crc32.New(castagnoli)
	n, err := io.CopyBuffer(struct{ io.Writer }{sum}, struct{ io.Reader }{r}, make([]byte, block))
	return n, sum.Sum32(), err
}
