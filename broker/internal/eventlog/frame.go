package eventlog

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	frameHeader = 32
	alignment   = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the header of a frame; see the package's comment.
type header struct {
	first   uint64
	durable uint64
	count   uint32
	size    uint32 // of the body
	body    uint32 // its CRC
}

func (h header) next() uint64 { return h.first + uint64(h.count) }

// length is the frame's.
func (h header) length() int64 { return frameHeader + int64(h.size) }

// parseHeader reads the header at the beginning of b, which has at least frameHeader bytes. It is false for what is none of a log
// with this salt.
func parseHeader(b []byte, salt uint32) (header, bool) {
	h := header{
		body:    binary.LittleEndian.Uint32(b[4:]),
		first:   binary.LittleEndian.Uint64(b[8:]),
		durable: binary.LittleEndian.Uint64(b[16:]),
		count:   binary.LittleEndian.Uint32(b[24:]),
		size:    binary.LittleEndian.Uint32(b[28:]),
	}
	// The CRC comes last: most of what is searched fails before.
	ok := h.size%alignment == 0 && uint64(h.count)*4 <= uint64(h.size) && h.next() >= h.first &&
		binary.LittleEndian.Uint32(b) == crc32.Update(salt, castagnoli, b[4:frameHeader])
	return h, ok
}

// frameLength is the length of a frame with these records.
func frameLength(records [][]byte) int64 {
	n := int64(0)
	for _, r := range records {
		n += 4 + int64(len(r))
	}
	return frameHeader + (n+alignment-1)/alignment*alignment
}

// appendFrame appends a frame, but for its numbers; see number.
func appendFrame(buf []byte, records [][]byte) []byte {
	start := len(buf)
	buf = append(buf, make([]byte, frameHeader)...)
	for _, r := range records {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(r)))
	}
	for _, r := range records {
		buf = append(buf, r...)
	}
	for (len(buf)-start)%alignment != 0 {
		buf = append(buf, 0)
	}
	frame := buf[start:]
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[frameHeader:], castagnoli))
	binary.LittleEndian.PutUint32(frame[24:], uint32(len(records)))
	binary.LittleEndian.PutUint32(frame[28:], uint32(len(frame)-frameHeader))
	return buf
}

// number completes the header of a frame that appendFrame has made, and returns the rest of the buffer and the next number.
func number(frame []byte, salt uint32, first, durable uint64) (rest []byte, next uint64) {
	binary.LittleEndian.PutUint64(frame[8:], first)
	binary.LittleEndian.PutUint64(frame[16:], durable)
	binary.LittleEndian.PutUint32(frame, crc32.Update(salt, castagnoli, frame[4:frameHeader]))
	length := frameHeader + binary.LittleEndian.Uint32(frame[28:])
	return frame[length:], first + uint64(binary.LittleEndian.Uint32(frame[24:]))
}

// intact tells whether b is the frame's body.
func (h header) intact(b []byte) bool { return crc32.Checksum(b, castagnoli) == h.body }

// offset returns where the record of a number begins in the frame's intact body.
func (h header) offset(body []byte, seq uint64) uint64 {
	at := uint64(h.count) * 4
	for i := range seq - h.first {
		at += uint64(binary.LittleEndian.Uint32(body[4*i:]))
	}
	return at
}

// record returns the record of a number, whose offset is known, and the next one's offset. It is false if the lengths don't fit.
func (h header) record(body []byte, seq, at uint64) (record []byte, end uint64, ok bool) {
	end = at + uint64(binary.LittleEndian.Uint32(body[4*(seq-h.first):]))
	if end > uint64(len(body)) {
		return nil, end, false
	}
	return body[at:end:end], end, true
}
