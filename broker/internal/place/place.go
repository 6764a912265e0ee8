// Package place keeps, in memory and in a file, which records of a log a reader is done with. It may be done with them in any order:
//
//	numbers of records   1 … 40 41 42 43 44 45 46 …
//	                     done ▲  ·  ✓  ·  ✓  ✓
//	                         low   a bit for each from low on
//
//	p, err := place.Create(path, next) // durable: nothing before next, everything from it on
//	p.Mark(42, 43)                     // done with record 42
//	err = p.Flush()                    // from time to time
//
//	p, err = place.Open(path, next)    // after a restart; next is the log's
//
// What was marked after the last Flush is forgotten when the process is killed, and what the kernel had not written when the machine
// dies: then a reader gets records again, and never misses one.
//
// # The file
//
// A snapshot, and after it a frame for each Flush, with what has been marked since. When the frames outgrow the snapshot, a new file
// replaces the file, and only this waits for the disk. Numbers are little-endian, CRCs are CRC-32C:
//
//	0   8  magic: "SluicePL"
//	8   8  version: 1
//	16  8  low: all records below this number are done
//	24  8  number of words of 64 bits that follow, the first of which begins with record low &^ 63
//	32     words
//	    4  CRC of all of this
//
//	0   4  of a frame: CRC of its body
//	4   4  length of its body
//	8      body: pairs of uvarints, how many records are not marked by it, from the last pair or from 0 on, and how many then are
//
// A frame is read as a whole or not at all; reading ends at the first damaged one, because marks count in order.
//
// # Concurrency
//
// All methods of a Place may be called concurrently, but Flush and Close by one goroutine at a time. Place.mu guards what is in memory,
// and isn't held during I/O.
package place

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/sluice-proxy/sluice/internal/durable"
)

// ErrDamaged is in the error of Open for a file whose snapshot can't be read.
var ErrDamaged = errors.New("the file is damaged")

const (
	magic       = "SluicePL"
	version     = 1
	headLength  = 32
	frameLength = 8
	// slack is how much larger than two snapshots the file may get.
	slack = 256 << 10
	// mostWords is how many words a file may have that is read: a billion records that were appended since the first one that isn't done.
	mostWords = 1 << 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Place is a reader's place in a log.
type Place struct {
	path string

	mu     sync.Mutex
	low    uint64 // all records below are done
	words  []uint64
	marked []span // since the last Flush

	// Of Flush and Close alone:

	file     *os.File
	size     int64 // of the file, as far as it is intact
	snapshot int64 // of which this is the snapshot
	stale    bool  // the file misses marks that are no longer in marked
}

// span is the records from one number up to another one.
type span struct{ from, to uint64 }

// Create makes a place that is done with all records below low, and no others. It is durable when Create returns. It replaces a file that is
// there.
func Create(path string, low uint64) (*Place, error) {
	p := &Place{path: path, low: low}
	if err := p.rewrite(); err != nil {
		return nil, err
	}
	return p, nil
}

// Open reads a place. It fails with ErrDamaged if nothing can be said about it. Next is the number of the log's next record: if the log has
// lost its end, the place forgets what it knew of the records that will get these numbers.
func Open(path string, next uint64) (_ *Place, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := &Place{path: path}
	rest, err := p.decode(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	p.snapshot = int64(len(content) - len(rest))
	rest = p.replay(rest)
	p.size = int64(len(content) - len(rest))
	p.marked = nil
	if p.forget(next) {
		err = p.rewrite()
	} else if p.file, err = os.OpenFile(path, os.O_RDWR, 0); err == nil {
		// What follows a damaged frame must not be read as if it followed the next one.
		err = p.file.Truncate(p.size)
	}
	if err != nil {
		p.closeFile()
		return nil, err
	}
	return p, nil
}

// Low returns the number of the first record that isn't done.
func (p *Place) Low() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.low
}

// Done tells whether a record is done.
func (p *Place) Done(seq uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if seq < p.low {
		return true
	}
	i := (seq - p.base()) / 64
	return i < uint64(len(p.words)) && p.words[i]&(1<<(seq%64)) != 0
}

// Mark says that the records from one number up to, and without, another one are done.
func (p *Place) Mark(from, to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if from = max(from, p.low); from >= to {
		return
	}
	if n := len(p.marked); n > 0 && p.marked[n-1].to == from {
		p.marked[n-1].to = to
	} else {
		p.marked = append(p.marked, span{from, to})
	}
	if from == p.low && len(p.words) == 0 {
		p.low = to
		return
	}
	p.setLocked(from, to)
}

// base is the number of the first bit.
func (p *Place) base() uint64 { return p.low &^ 63 }

// setLocked sets bits, and moves low past those that are done.
func (p *Place) setLocked(from, to uint64) {
	base := p.base()
	if last := (to - 1 - base) / 64; last >= uint64(len(p.words)) {
		p.words = append(p.words, make([]uint64, last+1-uint64(len(p.words)))...)
	}
	for from < to {
		i, bit := (from-base)/64, from%64
		n := min(64-bit, to-from)
		p.words[i] |= (^uint64(0) >> (64 - n)) << bit
		from += n
	}
	p.advanceLocked()
}

func (p *Place) advanceLocked() {
	for len(p.words) > 0 {
		n := uint64(bits.TrailingZeros64(^(p.words[0] | (1<<(p.low%64) - 1))))
		p.low = p.base() + n
		if n < 64 {
			break
		}
		p.words = p.words[1:]
	}
	if len(p.words) == 0 {
		p.words = nil
	}
}

// forget clears what is known of records from next on, and tells whether there was anything.
func (p *Place) forget(next uint64) bool {
	if next <= p.low {
		changed := next < p.low || len(p.words) > 0
		p.low, p.words = next, nil
		return changed
	}
	changed := false
	for i := range p.words {
		keep := ^uint64(0)
		switch first := p.base() + uint64(i)*64; {
		case next <= first:
			keep = 0
		case next < first+64:
			keep = 1<<(next-first) - 1
		}
		changed = changed || p.words[i]&^keep != 0
		p.words[i] &= keep
	}
	return changed
}

// Flush writes what has been marked to the file, without waiting for the disk. When it fails, the next one writes everything.
func (p *Place) Flush() error {
	p.mu.Lock()
	marked := p.marked
	p.marked = nil
	p.mu.Unlock()
	if len(marked) == 0 && !p.stale {
		return nil
	}
	if !p.stale {
		frame := encodeFrame(marked)
		if p.size+int64(len(frame)) <= 2*p.snapshot+slack {
			if _, err := p.file.WriteAt(frame, p.size); err != nil {
				p.stale = true
				return err
			}
			p.size += int64(len(frame))
			return nil
		}
	}
	p.stale = true
	if err := p.rewrite(); err != nil {
		return err
	}
	p.stale = false
	return nil
}

// Close flushes, and closes the file.
func (p *Place) Close() error {
	err := p.Flush()
	return errors.Join(err, p.closeFile())
}

func (p *Place) closeFile() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// rewrite replaces the file by one with a snapshot alone.
func (p *Place) rewrite() (err error) {
	content := p.encode()
	f, err := os.CreateTemp(filepath.Dir(p.path), ".place-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), p.path); err != nil {
		return err
	}
	if err = durable.SyncDirectory(filepath.Dir(p.path)); err != nil {
		return err
	}
	p.closeFile()
	p.file, p.size, p.snapshot = f, int64(len(content)), int64(len(content))
	return nil
}

func (p *Place) encode() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := make([]byte, 0, headLength+8*len(p.words)+4)
	b = append(b, magic...)
	for _, n := range []uint64{version, p.low, uint64(len(p.words))} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	for _, w := range p.words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decode reads a snapshot, and returns what follows it.
func (p *Place) decode(b []byte) (rest []byte, err error) {
	if len(b) < headLength || string(b[:len(magic)]) != magic {
		return nil, ErrDamaged
	}
	if v := binary.LittleEndian.Uint64(b[8:]); v != version {
		return nil, fmt.Errorf("%w, or of another version: %d, and this program reads %d", ErrDamaged, v, version)
	}
	words := binary.LittleEndian.Uint64(b[24:])
	if words > mostWords || headLength+8*int(words)+4 > len(b) {
		return nil, ErrDamaged
	}
	end := headLength + 8*int(words)
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return nil, ErrDamaged
	}
	p.low = binary.LittleEndian.Uint64(b[16:])
	for at := headLength; at < end; at += 8 {
		p.words = append(p.words, binary.LittleEndian.Uint64(b[at:]))
	}
	p.advanceLocked()
	return b[end+4:], nil
}

// encodeFrame makes a frame of spans, which it sorts.
func encodeFrame(spans []span) []byte {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	b := make([]byte, frameLength, frameLength+8*len(spans))
	end := uint64(0)
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && spans[i].from <= to; i++ {
			to = max(to, spans[i].to)
		}
		b = binary.AppendUvarint(b, from-end)
		b = binary.AppendUvarint(b, to-from)
		end = to
	}
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[frameLength:], castagnoli))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameLength))
	return b
}

// replay reads frames, and returns what follows the last intact one.
func (p *Place) replay(b []byte) (rest []byte) {
	for len(b) >= frameLength {
		n := uint64(binary.LittleEndian.Uint32(b[4:]))
		if n == 0 || n > uint64(len(b)-frameLength) {
			break
		}
		body := b[frameLength : frameLength+n]
		if binary.LittleEndian.Uint32(b) != crc32.Checksum(body, castagnoli) {
			break
		}
		for end := uint64(0); len(body) > 0; {
			gap, n := binary.Uvarint(body)
			count, m := binary.Uvarint(body[max(n, 0):])
			if n <= 0 || m <= 0 || end+gap < end || end+gap+count < end || end+gap+count > p.low+64*mostWords {
				return b // an intact CRC of something else
			}
			body = body[n+m:]
			p.Mark(end+gap, end+gap+count)
			end += gap + count
		}
		b = b[frameLength+n:]
	}
	return b
}
