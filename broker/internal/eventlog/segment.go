package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
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

	// indexEvery is how many records the index leaves out at most, unless a frame has more: half a byte of memory per record, and
	// eight headers that a read passes on average.
	indexEvery = 16
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

// entry says where the frame of a number is.
type entry struct {
	seq uint64
	at  int64
}

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
	if n := len(s.index); n == 0 || afterDamage || h.first-s.index[n-1].seq >= indexEvery {
		s.index = append(s.index, entry{h.first, at})
	}
}

// floor returns the last entry of the index that isn't after seq.
func (s *segment) floor(seq uint64) (entry, bool) {
	i, found := slices.BinarySearchFunc(s.index, seq, func(e entry, seq uint64) int {
		switch {
		case e.seq < seq:
			return -1
		case e.seq > seq:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 {
		return entry{}, false
	}
	return s.index[i], true
}

// read reads a record, whose frame is at the entry from or behind it.
func (s *segment) read(seq uint64, from entry, end int64, limit uint64, buf []byte) ([]byte, error) {
	var head [frameHeader]byte
	for at, want := from.at, from.seq; at+frameHeader <= end; {
		if _, err := s.file.ReadAt(head[:], at); err != nil && errors.Is(err, fs.ErrClosed) {
			return nil, err
		}
		h, ok := parseHeader(head[:], s.salt)
		if !ok || h.first < want || at+h.length() > end {
			// Damaged since the log was opened: where the next frame begins is found by searching.
			return s.search(seq, entry{want, at}, end, limit, buf)
		}
		if h.first > seq {
			break
		}
		if h.next() <= seq {
			at, want = at+h.length(), h.next()
			continue
		}
		body := slices.Grow(buf[:0], int(h.size))[:h.size]
		if _, err := s.file.ReadAt(body, at+frameHeader); err != nil {
			return nil, err
		}
		record, ok := h.record(body, seq)
		if !h.intact(body) || !ok {
			break
		}
		return append(body[:0], record...), nil
	}
	return nil, ErrCorrupt
}

// search is read past damage.
func (s *segment) search(seq uint64, from entry, end int64, limit uint64, buf []byte) ([]byte, error) {
	sc := scanner{file: s.file, salt: s.salt, at: from.at, end: end, want: from.seq, limit: limit}
	defer sc.release()
	for {
		h, body, _, err := sc.next()
		if errors.Is(err, io.EOF) || err == nil && h.first > seq {
			return nil, ErrCorrupt
		} else if err != nil {
			return nil, err
		}
		if h.next() > seq {
			record, ok := h.record(body, seq)
			if !ok {
				return nil, ErrCorrupt
			}
			return append(buf[:0], record...), nil
		}
	}
}
