package eventlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// written is a log of one segment that was written to a disk.
type written struct {
	disk    *memDisk
	name    string
	records [][]byte
	frames  []span
}

// span is where a frame is, and the indexes of its records.
type span struct {
	at, end     int64
	first, next int
}

// write appends batches of one to three records.
func write(t testing.TB, batches int, closed bool) *written {
	t.Helper()
	w := &written{disk: newMemDisk(), name: segmentName(1)}
	l := w.open(t)
	for i := range batches {
		var batch [][]byte
		for range i%3 + 1 {
			n := len(w.records)
			record := bytes.Repeat([]byte{byte(n + 1)}, n*7%50)
			batch, w.records = append(batch, record), append(w.records, record)
		}
		at := w.size(l)
		if _, err := l.Append(t.Context(), batch...); err != nil {
			t.Fatal(err)
		}
		w.frames = append(w.frames, span{at, w.size(l), len(w.records) - len(batch), len(w.records)})
	}
	if !closed {
		killed := w.disk.after(false, rand.New(rand.NewPCG(0, 0)))
		defer func() { w.disk = killed }()
	}
	mustClose(t, l)
	return w
}

func (w *written) open(t testing.TB) *Log {
	t.Helper()
	l, _ := mustOpenDisk(t, w.disk, oneSegment)
	return l
}

// oneSegment has few zeros behind the last frame.
var oneSegment = Config{SegmentBytes: 20 << 10}

func (w *written) size(l *Log) int64 {
	return max(l.Stats().Bytes, dataStart)
}

// reopen opens the log with other content of its segment.
func (w *written) reopen(t testing.TB, content []byte) (*Log, Recovery) {
	t.Helper()
	d := newMemDisk()
	d.names[w.name] = &memFile{data: slices.Clone(content), dirty: map[int64]bool{}}
	return mustOpenDisk(t, d, oneSegment)
}

func mustOpenDisk(t testing.TB, d disk, c Config) (*Log, Recovery) {
	t.Helper()
	l, r, err := open(d, io.NopCloser(nil), c)
	if err != nil {
		t.Fatal(err)
	}
	return l, r
}

// holds checks that exactly these records can be read, in both ways.
func (w *written) holds(t testing.TB, l *Log, kept func(i int) bool) {
	t.Helper()
	first, next := l.Bounds()
	r := l.Reader(0)
	var buf []byte
	lost := uint64(0)
	for i, want := range w.records {
		seq := uint64(i + 1)
		got, err := l.Read(seq, buf)
		if !kept(i) {
			if seq >= first && seq < next {
				lost++
			}
			if err == nil {
				t.Fatalf("Read(%d) = %q of a damaged frame", seq, got)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Read(%d) = %q, %v, want %q", seq, got, err, want)
		}
		buf = got
		if s, got, err := r.Next(); s != seq || err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Next = %d, %q, %v, want %d, %q", s, got, err, seq, want)
		}
	}
	if seq, got, err := r.Next(); !errors.Is(err, ErrNotYet) {
		t.Fatalf("Next at the end = %d, %q, %v", seq, got, err)
	}
	if s := r.Skipped(); s.Corrupt != lost || s.Trimmed > 0 {
		t.Fatalf("Skipped = %+v, want %d corrupt", s, lost)
	}
}

// goesOn checks that the log can be written to, and that this lasts.
func (w *written) goesOn(t testing.TB, l *Log) {
	t.Helper()
	_, next := l.Bounds()
	first, err := l.Append(t.Context(), []byte("more"))
	if err != nil || first != next {
		t.Fatalf("Append = %d, %v, want %d", first, err, next)
	}
	d := l.disk
	mustClose(t, l)
	l, _ = mustOpenDisk(t, d, oneSegment)
	defer mustClose(t, l)
	if got, err := l.Read(first, nil); string(got) != "more" || err != nil {
		t.Fatalf("Read = %q, %v after the log was opened again", got, err)
	}
}

// end closes the log; before, it may check whether it goes on.
func (w *written) end(t testing.TB, l *Log, goesOn bool) {
	t.Helper()
	if goesOn {
		w.goesOn(t, l)
	} else {
		mustClose(t, l)
	}
}

func TestEveryPrefix(t *testing.T) {
	w := write(t, 150, false)
	content := w.disk.names[w.name].data
	last := w.frames[len(w.frames)-1].end
	for n := int64(0); n < last+100; n += stride {
		l, r := w.reopen(t, content[:n])
		whole := 0
		end := min(n, dataStart)
		for _, f := range w.frames {
			if f.end <= n {
				whole, end = f.next, f.end
			}
		}
		if r.Records != uint64(whole) || r.Corrupt+r.Torn > 0 {
			t.Fatalf("%d bytes: Recovery = %+v, want %d records", n, r, whole)
		}
		if torn := bytes.TrimRight(content[end:n], "\x00"); r.Cut != int64(len(torn)) || r.Cut > 0 && len(r.Problems) == 0 {
			t.Fatalf("%d bytes: Recovery = %+v, want %d cut", n, r, len(torn))
		}
		w.holds(t, l, func(i int) bool { return i < whole })
		w.end(t, l, n%(16*stride) == 0)
	}
}

func TestEveryBitFlip(t *testing.T) {
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprintf("closed=%v", closed), func(t *testing.T) {
			w := write(t, 12, closed)
			content := slices.Clone(w.disk.names[w.name].data)
			last := w.frames[len(w.frames)-1]
			for bit := int64(0); bit < (last.end+frameHeader)*8; bit += stride {
				at := bit / 8
				content[at] ^= 1 << (bit % 8)
				l, r := w.reopen(t, content)
				content[at] ^= 1 << (bit % 8)
				hit := span{}
				for _, f := range w.frames {
					if at >= f.at && at < f.end {
						hit = f
					}
				}
				told := r.Corrupt == uint64(hit.next-hit.first)
				if !closed && hit == last {
					told = r.Cut > 0 // looks like a torn write
				}
				if !told || len(r.Problems) == 0 || r.Torn > 0 {
					t.Fatalf("bit %d: Recovery = %+v, want %d corrupt", bit, r, hit.next-hit.first)
				}
				w.holds(t, l, func(i int) bool { return i < hit.first || i >= hit.next })
				w.end(t, l, bit%(16*stride) == 0)
			}
		})
	}
}

// The same while the log is open, when nothing has told of it yet.
func TestEveryBitFlipOfAnOpenLog(t *testing.T) {
	w := write(t, 12, true)
	l := w.open(t)
	defer mustClose(t, l)
	content := w.disk.names[w.name].data
	last := w.frames[len(w.frames)-1]
	for bit := int64(dataStart * 8); bit < last.end*8; bit += stride {
		content[bit/8] ^= 1 << (bit % 8)
		w.holds(t, l, func(i int) bool {
			f := w.frames[slices.IndexFunc(w.frames, func(f span) bool { return bit/8 < f.end })]
			return i < f.first || i >= f.next
		})
		content[bit/8] ^= 1 << (bit % 8)
	}
}

// Two frames of one write, of which the second one reached the disk and the first one didn't.
func TestTornInTheMiddleOfAWrite(t *testing.T) {
	w := write(t, 2, true)
	d := newMemDisk()
	s := &segment{name: w.name, first: 1, salt: 7}
	content := s.encode()
	a, b := appendFrame(nil, [][]byte{[]byte("a")}), appendFrame(nil, [][]byte{[]byte("b")})
	number(a, s.salt, 1, 1)
	number(b, s.salt, 2, 1)
	content = append(append(content, make([]byte, len(a))...), b...)
	d.names[w.name] = &memFile{data: content, dirty: map[int64]bool{}}
	l, r := mustOpenDisk(t, d, Config{})
	defer mustClose(t, l)
	if r.Torn != 1 || r.Corrupt != 0 || r.Records != 1 || len(r.Problems) != 1 {
		t.Errorf("Recovery = %+v", r)
	}
	if got, err := l.Read(2, nil); string(got) != "b" {
		t.Errorf("Read(2) = %q, %v", got, err)
	}
	if _, err := l.Read(1, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read(1): %v", err)
	}
}

// A record that contains a frame of the same number is not taken for one when the frame around it is damaged.
func TestFrameInARecord(t *testing.T) {
	forged := appendFrame(nil, [][]byte{[]byte("forged")})
	number(forged, 0, 2, 1) // with a salt that the sender has guessed
	d := newMemDisk()
	l, _ := mustOpenDisk(t, d, Config{})
	if _, err := l.Append(t.Context(), append(make([]byte, 4), forged...)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), []byte("next")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	d.names[segmentName(1)].data[dataStart] ^= 1
	l, r := mustOpenDisk(t, d, Config{})
	defer mustClose(t, l)
	if r.Corrupt != 1 || r.Records != 1 {
		t.Errorf("Recovery = %+v", r)
	}
	if got, err := l.Read(2, nil); string(got) != "next" || err != nil {
		t.Errorf("Read(2) = %q, %v", got, err)
	}
}

// badSector can't read the page at 4096.
type badSector struct {
	*bytes.Reader
	err error
}

func (b badSector) ReadAt(p []byte, at int64) (int, error) {
	if at < 2*page && at+int64(len(p)) > page {
		return 0, b.err
	}
	return b.Reader.ReadAt(p, at)
}

func TestBadSector(t *testing.T) {
	w := write(t, 150, true)
	s := &segment{name: w.name, first: 1}
	content := w.disk.names[w.name].data
	if _, err := s.decode(content); err != nil {
		t.Fatal(err)
	}
	disk := badSector{bytes.NewReader(content), syscall.EIO}
	scan := func() (found int, err error) {
		sc := scanner{file: disk, salt: s.salt, at: dataStart, end: int64(len(content)), want: 1, limit: forever, ahead: window}
		for ; err == nil; found++ {
			_, _, _, err = sc.next()
		}
		return found - 1, err
	}
	hit := 0
	for _, f := range w.frames {
		if f.at < 2*page && f.end > page {
			hit++
		}
	}
	// One more says that the log was closed.
	if n, err := scan(); n != len(w.frames)-hit+1 || !errors.Is(err, io.EOF) {
		t.Errorf("%d frames, %v, want all of %d but %d", n, err, len(w.frames), hit)
	}
	// Another error may pass: it is not for the scanner to skip what it couldn't read for the moment.
	disk.err = syscall.ENOMEM
	if _, err := scan(); !errors.Is(err, syscall.ENOMEM) {
		t.Errorf("scan: %v", err)
	}
}

func TestDamagedSegments(t *testing.T) {
	dir := t.TempDir()
	c := Config{SegmentBytes: minSegment}
	l, _ := mustOpen(t, dir, c)
	for range 30 {
		if _, err := l.Append(t.Context(), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	names, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	if len(names) != 15 {
		t.Fatalf("segments: %v", names)
	}
	// Without both copies of its header: the other segments have the salt.
	f, err := os.OpenFile(names[3], os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, dataStart), 0)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(names[5]); err != nil { // records 11 and 12
		t.Fatal(err)
	}
	l, r := mustOpen(t, dir, c)
	defer mustClose(t, l)
	if r.Corrupt != 2 || r.Records != 28 || len(r.Problems) != 2 {
		t.Errorf("Recovery = %+v", r)
	}
	for seq := uint64(1); seq <= 30; seq++ {
		_, err := l.Read(seq, nil)
		if missing := seq == 11 || seq == 12; missing != errors.Is(err, ErrCorrupt) || !missing && err != nil {
			t.Errorf("Read(%d): %v", seq, err)
		}
	}
}

// The only segment has lost its header, and with it the salt: numbers that it may have had are not given again.
func TestNoHeaderIsLeft(t *testing.T) {
	w := write(t, 20, true)
	content := slices.Clone(w.disk.names[w.name].data)
	clear(content[:dataStart])
	l, r := w.reopen(t, content)
	if r.Records != 0 || r.Corrupt < uint64(len(w.records)) || len(r.Problems) != 2 {
		t.Errorf("Recovery = %+v", r)
	}
	first, next := l.Bounds()
	if first != 1 || next <= uint64(len(w.records)) {
		t.Errorf("Bounds = %d, %d", first, next)
	}
	if _, err := l.Read(1, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Read(1): %v", err)
	}
	if _, _, err := l.Reader(1).Next(); !errors.Is(err, ErrNotYet) {
		t.Errorf("Next: %v", err)
	}
	w.goesOn(t, l)
}

func TestNewerVersion(t *testing.T) {
	w := write(t, 1, true)
	content := w.disk.names[w.name].data
	s := &segment{name: w.name, first: 1}
	b := s.encode()
	b[8]++
	binary.LittleEndian.PutUint32(b[sector-4:], crc32.Checksum(b[:sector-4], castagnoli))
	copy(content, b[:sector])
	_, _, err := open(w.disk, io.NopCloser(nil), Config{})
	if want := w.name + " has version 2, this program reads version 1: use the program that wrote it, or another directory"; err == nil || err.Error() != want {
		t.Errorf("open: %v, want %v", err, want)
	}
}
