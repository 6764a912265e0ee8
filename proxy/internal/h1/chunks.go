package h1

import "strconv"

// Chunks decodes the chunked coding (RFC 9112 §7.1). Its zero value is ready.
type Chunks struct {
	state   chunkState
	digits  int
	left    uint64 // of the chunk, or its size so far
	line    int    // bytes of the line of its size
	excess  int    // framing beyond what content excuses
	trailer []byte
	scanned int // of trailer
}

type chunkState uint8

const (
	chunkStart     chunkState = iota // before the first digit of a size
	chunkSize                        // after it
	chunkExtension                   // until CR
	chunkLF                          // of the line of the size
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkDone
)

// maxExcess is net/http's bound on framing that carries nothing, and the sum that a chunk excuses too.
const maxExcess = 16 << 10

func (c *Chunks) decode(dst, src []byte) (nd, ns int, err error) {
	for ns < len(src) && c.state != chunkDone {
		switch c.state {
		case chunkData:
			n := copy(dst[nd:], src[ns:ns+int(min(c.left, uint64(len(src)-ns)))])
			nd, ns, c.left = nd+n, ns+n, c.left-uint64(n)
			if c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		case chunkTrailer:
			n, err := c.trailers(src[ns:])
			ns += n
			if err != nil {
				return nd, ns, err
			}
			continue
		}
		if err := c.framing(src[ns]); err != nil {
			return nd, ns, err
		}
		ns++
	}
	return nd, ns, nil
}

// framing takes one byte of what is around the content.
func (c *Chunks) framing(b byte) error {
	c.line++
	switch c.state {
	case chunkStart, chunkSize:
		return c.size(b)
	case chunkExtension:
		switch {
		case b == '\r':
			c.state = chunkLF
		case class[b]&inValue == 0, c.line > 4000:
			return ErrChunkExtension
		}
	case chunkLF:
		if b != '\n' {
			return ErrLineEnd
		}
		c.excess = max(0, c.excess+c.line+2-16-2*int(min(c.left, maxExcess)))
		if c.excess > maxExcess {
			return ErrChunkOverhead
		}
		c.state = chunkData
		if c.left == 0 {
			c.state = chunkTrailer
		}
	case chunkDataCR:
		if b != '\r' {
			return ErrChunkEnd
		}
		c.state = chunkDataLF
	case chunkDataLF:
		if b != '\n' {
			return ErrChunkEnd
		}
		c.state, c.left, c.digits, c.line = chunkStart, 0, 0, 0
	}
	return nil
}

// size takes a byte of the size of a chunk.
func (c *Chunks) size(b byte) error {
	if hex(b) {
		d := uint64(b & 0x0f)
		if b > '9' {
			d += 9
		}
		if c.digits++; c.digits > 16 || c.left>>59 != 0 {
			return ErrChunkSize // beyond 63 bits, or more zeros than anybody needs
		}
		c.left, c.state = c.left<<4|d, chunkSize
		return nil
	}
	switch {
	case c.state == chunkStart:
		return ErrChunkSize
	case b == '\r':
		c.state = chunkLF
	case b == ';':
		c.state = chunkExtension
	default:
		return ErrChunkSize
	}
	return nil
}

// trailers takes bytes of the trailer section, up to its end, and checks it there.
func (c *Chunks) trailers(src []byte) (n int, err error) {
	had := len(c.trailer)
	c.trailer = append(c.trailer, src[:min(len(src), MaxTrailer+1-had)]...)
	end, next, err := HeadEnd(c.trailer, c.scanned, false)
	if err != nil {
		return 0, err
	}
	c.scanned = next
	if end == 0 {
		if len(c.trailer) > MaxTrailer {
			return 0, ErrHeadTooLarge
		}
		return len(c.trailer) - had, nil
	}
	c.trailer = c.trailer[:end]
	if end > 2 {
		var f Fields
		if err := f.parse(string(c.trailer), MaxFields); err != nil {
			return 0, err
		}
	}
	c.state = chunkDone
	return end - had, nil
}

// appendRewound is Body.AppendRewound.
func (c *Chunks) appendRewound(b, held []byte) []byte {
	if len(held) > 0 {
		b = append(AppendChunkSize(b, len(held)), held...)
		switch c.state {
		case chunkDataCR:
			return b
		case chunkDataLF:
			return append(b, '\r')
		}
		b = append(b, "\r\n"...)
	}
	switch c.state {
	case chunkData:
		b = AppendChunkSize(b, int(c.left))
	case chunkSize:
		b = strconv.AppendUint(b, c.left, 16)
	case chunkExtension:
		b = append(strconv.AppendUint(b, c.left, 16), ';')
	case chunkLF:
		b = append(strconv.AppendUint(b, c.left, 16), '\r')
	case chunkTrailer, chunkDone:
		b = append(append(b, "0\r\n"...), c.trailer...)
	}
	return b
}
