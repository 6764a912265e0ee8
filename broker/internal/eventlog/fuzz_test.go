package eventlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"
)

// Whatever a segment has after its header: frames are inside of it, in order, and intact, and so are their records.
func FuzzScanner(f *testing.F) {
	w := write(f, 6, true)
	content := w.disk.names[w.name].data
	s := &segment{name: w.name, first: 1}
	if _, err := s.decode(content[:dataStart]); err != nil {
		f.Fatal(err)
	}
	f.Add(content[dataStart:], s.salt, uint64(1))
	f.Add(content[w.frames[1].at:], s.salt, uint64(1))
	f.Add(make([]byte, 100), s.salt, uint64(3))
	f.Fuzz(func(t *testing.T, b []byte, salt uint32, want uint64) {
		// With right CRCs in the first frame, its numbers and lengths matter.
		if len(b) >= frameHeader {
			b = bytes.Clone(b)
			if size := int64(binary.LittleEndian.Uint32(b[28:])); frameHeader+size <= int64(len(b)) {
				binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[frameHeader:frameHeader+size], castagnoli))
			}
			binary.LittleEndian.PutUint32(b, crc32.Update(salt, castagnoli, b[4:frameHeader]))
		}
		sc := scanner{file: bytes.NewReader(b), salt: salt, end: int64(len(b)), want: want, limit: forever, ahead: window}
		end := int64(0)
		for {
			h, body, at, err := sc.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if at < end || h.first < want || h.next() < h.first || at+h.length() > int64(len(b)) || !bytes.Equal(body, b[at+frameHeader:at+h.length()]) {
				t.Fatalf("frame %+v at %d of %d, after %d", h, at, len(b), end)
			}
			for seq := h.first; seq < h.next(); seq++ {
				h.record(body, seq, h.offset(body, seq)) // false, but no panic, for lengths that don't fit
			}
			end, want = at+h.length(), h.next()
		}
	})
}

// Whatever is in the files: the log opens, or has another version, and goes on.
func FuzzOpen(f *testing.F) {
	w := write(f, 6, true)
	content := w.disk.names[w.name].data
	f.Add(content, content)
	f.Add(content[:dataStart+5], []byte{})
	f.Add([]byte(magic), content[1:])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d := newMemDisk()
		d.names[segmentName(1)] = &memFile{data: bytes.Clone(a), dirty: map[int64]bool{}}
		d.names[segmentName(9)] = &memFile{data: bytes.Clone(b), dirty: map[int64]bool{}}
		l, _, err := open(d, io.NopCloser(nil), oneSegment)
		if err != nil {
			t.Fatal(err)
		}
		r := l.Reader(1)
		for err == nil {
			_, _, err = r.Next()
		}
		if !errors.Is(err, ErrNotYet) {
			t.Fatal(err)
		}
		w.goesOn(t, l)
	})
}
