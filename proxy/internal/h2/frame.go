package h2

import "encoding/binary"

// Preface is what a client's connection starts with (RFC 9113 §3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	frameHeader = 9
	maxFrame    = 16384 // SETTINGS_MAX_FRAME_SIZE is left at its initial value, which every peer accepts (RFC 9113 §4.2)
	// initialWindow is that of a connection, and of its streams before SETTINGS (RFC 9113 §6.9.2).
	initialWindow = 65535
	maxWindow     = 1<<31 - 1
	initialTable  = 4096 // SETTINGS_HEADER_TABLE_SIZE (RFC 9113 §6.5.2)
)

type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoAway
	frameWindow
	frameContinuation
)

const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// frame is the header of one (RFC 9113 §4.1).
type frame struct {
	length int
	kind   frameType
	flags  uint8
	stream uint32
}

// readFrame reads the header at the start of p, which has to be that long.
func readFrame(p []byte) frame {
	return frame{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		kind:   frameType(p[3]),
		flags:  p[4],
		stream: binary.BigEndian.Uint32(p[5:]) &^ (1 << 31),
	}
}

func (f frame) has(flag uint8) bool { return f.flags&flag != 0 }

func (f frame) appendTo(b []byte) []byte {
	return append(b, byte(f.length>>16), byte(f.length>>8), byte(f.length), byte(f.kind), f.flags,
		byte(f.stream>>24), byte(f.stream>>16), byte(f.stream>>8), byte(f.stream))
}

// appendWord appends a frame with a payload of 32 bits.
func appendWord(b []byte, kind frameType, stream, word uint32) []byte {
	return binary.BigEndian.AppendUint32(frame{length: 4, kind: kind, stream: stream}.appendTo(b), word)
}

// splitBlock makes frames of the header block that starts in b behind room for a frame's header, at start: more than one if it is
// too long for that.
func splitBlock(b []byte, start int, stream uint32, end bool) []byte {
	size := len(b) - start - frameHeader
	more := max(size-1, 0) / maxFrame // frames besides the first
	b = append(b, make([]byte, more*frameHeader)...)
	for i := more; i > 0; i-- { // from the last on, as each moves further
		n := min(size-i*maxFrame, maxFrame)
		to := start + i*(maxFrame+frameHeader)
		from := start + frameHeader + i*maxFrame
		copy(b[to+frameHeader:], b[from:from+n])
		f := frame{length: n, kind: frameContinuation, stream: stream}
		if i == more {
			f.flags = flagEndHeaders
		}
		f.appendTo(b[:to])
	}
	f := frame{length: min(size, maxFrame), kind: frameHeaders, stream: stream}
	if end {
		f.flags |= flagEndStream
	}
	if more == 0 {
		f.flags |= flagEndHeaders
	}
	f.appendTo(b[:start])
	return b
}
