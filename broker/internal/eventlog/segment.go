package eventlog

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	magic   = "SluiceEL"
	version = 1
	sector  = 512
	// dataStart is where the frames begin: after two sectors with the segment's header.
	dataStart = 2 * sector

	suffix    = ".log"
	temporary = ".new"

	// A read passes over this many records, or bytes in front of a frame, at most: an entry of the index, of 8 bytes, is made
	// when there are more.
	indexRecords = 8
	indexBytes   = 8 << 10
)

// segment is a file of the log.
type segment struct {
	name    string
	file    file
	first   uint64
	created time.Time
	salt    uint32

	// Guarded by Log.mu. They change only in the active segment, which is the last.
	end   int64     // of the last durable frame
	last  time.Time // when that was written
	index []entry   // has an entry for the segment's first frame, and for the first one after damage

	// Of Log.run alone:

	allocated int64 // up to here, there are zeros after the end
	unsure    int64 // when the log was opened: from here on, frames may not have been on the disk
	marked    bool  // the last frame says that the log was closed
}

// entry says where the frame of a number is, relative to the segment's first number and in units of the alignment.
type entry struct{ seq, at uint32 }

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

// segmentFirst returns the number in a segment's name.
func segmentFirst(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, ok && err == nil && first > 0 && segmentName(first) == name
}

// encode returns the sectors at the beginning of the segment.
func (s *segment) encode() []byte {
	b := make([]byte, sector, dataStart)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[12:], s.salt)
	binary.LittleEndian.PutUint64(b[16:], s.first)
	binary.LittleEndian.PutUint64(b[24:], uint64(s.created.UnixNano()))
	binary.LittleEndian.PutUint32(b[sector-4:], crc32.Checksum(b[:sector-4], castagnoli))
	return append(b, b...)
}

// decode reads what encode wrote. It returns how many of the two sectors are intact, and an error for a version that it doesn't
// know.
func (s *segment) decode(b []byte) (intact int, err error) {
	for ; len(b) >= sector; b = b[sector:] {
		if string(b[:8]) != magic || crc32.Checksum(b[:sector-4], castagnoli) != binary.LittleEndian.Uint32(b[sector-4:]) ||
			binary.LittleEndian.Uint64(b[16:]) != s.first {
			continue
		}
		if v := binary.LittleEndian.Uint32(b[8:]); v != version {
			return 0, fmt.Errorf("%s has version %d, this program reads version %d: use the program that wrote it, or another directory", s.name, v, version)
		}
		s.salt = binary.LittleEndian.Uint32(b[12:])
		s.created = time.Unix(0, int64(binary.LittleEndian.Uint64(b[24:])))
		intact++
	}
	return intact, nil
}

// note puts a frame into the index.
func (s *segment) note(h header, at int64, afterDamage bool) {
	e := entry{uint32(h.first - s.first), uint32(at / alignment)}
	if n := len(s.index); n == 0 || afterDamage || e.seq-s.index[n-1].seq >= indexRecords || e.at-s.index[n-1].at >= indexBytes/alignment {
		s.index = append(s.index, e)
	}
}

// from returns where to look for a record: a position, and the number of the frame that should be there.
func (s *segment) from(seq uint64) (at int64, first uint64) {
	i, found := slices.BinarySearchFunc(s.index, seq-s.first, func(e entry, seq uint64) int { return cmp.Compare(uint64(e.seq), seq) })
	if !found {
		i--
	}
	if i < 0 {
		return dataStart, s.first // the beginning is damaged
	}
	return int64(s.index[i].at) * alignment, s.first + uint64(s.index[i].seq)
}
