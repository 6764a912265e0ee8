package eventlog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/durable"
)

// Recovery is what Open has found.
type Recovery struct {
	Segments int
	// Records can be read.
	Records uint64
	// Cut is the length of what was removed from the end of the log: a write that was not acknowledged because the process or the
	// machine died. If there was no such end, the disk has damaged the last write before it.
	Cut int64
	// Torn counts records of the last write that can't be read although others of it can. It was not acknowledged either, unless
	// the disk has damaged it.
	Torn uint64
	// Corrupt counts records that were acknowledged and can't be read. Of a segment that can't be read at all it is the most that
	// it may have had.
	Corrupt uint64
	// Problems has a line for each of these, but for those after the first hundred, and for what else is damaged.
	Problems []string
}

const maxProblems = 100

func (r *Recovery) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	} else if len(r.Problems) == maxProblems {
		r.Problems = append(r.Problems, "there are more problems")
	}
}

// Open opens the log in a directory, which it creates if there is none, and reads all of it. It fails with ErrLocked if another
// process has opened it. It does not fail because of damage, which it tells in the Recovery: what can be read can be read.
//
// When the end of a log has been lost, new records get the numbers of the lost ones. Whoever has kept a number of what comes next
// has to compare it with the second one of Bounds before anything is appended, and to continue with the lower one.
func Open(dir string, c Config) (*Log, Recovery, error) {
	if err := durable.MkdirAll(dir); err != nil {
		return nil, Recovery{}, err
	}
	lock, err := durable.Lock(dir, "lock")
	if locked, ok := errors.AsType[*durable.Locked](err); ok {
		return nil, Recovery{}, fmt.Errorf("%w: process %s has the log in %s open: end it, or use another directory", ErrLocked, locked.PID, dir)
	}
	if err != nil {
		return nil, Recovery{}, err
	}
	l, r, err := open(directory(dir), lock, c)
	if err != nil {
		lock.Close()
		return nil, Recovery{}, fmt.Errorf("log in %s: %w", dir, err)
	}
	return l, r, nil
}

func open(d disk, lock io.Closer, c Config) (_ *Log, r Recovery, err error) {
	l := &Log{disk: d, lock: lock, group: newGroup(nil), wake: make(chan struct{}, 1), ended: make(chan struct{}), next: 1}
	if l.config, err = c.withDefaults(); err != nil {
		return nil, r, err
	}
	defer func() {
		if err != nil {
			for _, s := range l.segments {
				if s.file != nil {
					s.file.Close()
				}
			}
		}
	}()
	unreadable, err := l.openSegments(&r)
	if err != nil {
		return nil, r, err
	}
	var damage []hole
	for i, s := range l.segments {
		limit := uint64(forever)
		if i+1 < len(l.segments) {
			limit = l.segments[i+1].first
		}
		if i > 0 && l.next < s.first || i == 0 {
			l.next = s.first
		}
		if unreadable[s] {
			// Each record takes at least the 4 bytes of its length.
			next := min(limit, s.first+uint64(max(s.end-dataStart, 0)/4))
			damage = append(damage, hole{s: s, first: s.first, next: next, end: s.end})
			l.next, s.end = next, dataStart
			continue
		}
		holes, err := l.readSegment(s, limit, &r)
		if err != nil {
			return nil, r, err
		}
		damage = append(damage, holes...)
	}
	for _, h := range damage {
		h.tell(&r)
	}
	if n := len(l.segments); n > 0 && !unreadable[l.segments[n-1]] {
		if err := l.cut(l.segments[n-1], &r); err != nil {
			// It isn't written to any more, as after a failed write.
			r.problem("%s: the last write may not be on the disk: %v", l.segments[n-1].name, err)
		} else {
			l.active = l.segments[n-1]
		}
	}
	// The process before may have been killed before it had done so.
	if err := l.disk.sync(); err != nil {
		return nil, r, err
	}
	r.Segments = len(l.segments)
	l.timer = time.NewTimer(math.MaxInt64)
	l.poke() // delete what is too old
	go l.run()
	return l, r, nil
}

// openSegments opens the files and reads their headers. It returns those that can't be read because both copies are damaged and
// no other segment has the salt.
func (l *Log) openSegments(r *Recovery) (unreadable map[*segment]bool, err error) {
	names, err := l.disk.list()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffix+temporary) {
			_ = l.disk.remove(name)
		} else if first, ok := segmentFirst(name); ok {
			l.segments = append(l.segments, &segment{name: name, first: first})
		}
	}
	slices.SortFunc(l.segments, func(a, b *segment) int { return strings.Compare(a.name, b.name) })
	salted := false
	var lost []*segment
	for _, s := range l.segments {
		if s.file, err = l.disk.open(s.name); err != nil {
			return nil, err
		}
		info, err := s.file.Stat()
		if err != nil {
			return nil, err
		}
		s.end, s.last, s.created = info.Size(), info.ModTime(), info.ModTime()
		b := make([]byte, min(dataStart, s.end))
		if err := readDamaged(s.file, b, 0); err != nil {
			return nil, err
		}
		switch intact, err := s.decode(b); {
		case err != nil:
			return nil, err
		case intact == 0:
			lost = append(lost, s)
			continue
		case intact == 1:
			r.problem("%s: one of the two copies of its header is damaged", s.name)
		}
		l.salt, salted = s.salt, true
	}
	if !salted {
		var b [4]byte
		rand.Read(b[:])
		l.salt = binary.LittleEndian.Uint32(b[:])
	}
	unreadable = map[*segment]bool{}
	for _, s := range lost {
		r.problem("%s: both copies of its header are damaged", s.name)
		s.salt = l.salt
		unreadable[s] = !salted
	}
	return unreadable, nil
}

// hole is what can't be read between two frames.
type hole struct {
	s           *segment
	first, next uint64
	at, end     int64
	unknown     bool // whether it was acknowledged
}

func (h hole) tell(r *Recovery) {
	if h.next == h.first {
		r.problem("%s: bytes %d to %d are damaged; no record is missing", h.s.name, h.at, h.end)
		return
	}
	what := "were acknowledged and can't be read: they are damaged"
	if h.unknown {
		r.Torn += h.next - h.first
		what = "can't be read: their write was not acknowledged before the crash, or they are damaged"
	} else {
		r.Corrupt += h.next - h.first
	}
	r.problem("%s: records %d to %d %s (bytes %d to %d)", h.s.name, h.first, h.next-1, what, h.at, h.end)
}

// readSegment reads a segment, whose records are below limit, and puts it into the index.
func (l *Log) readSegment(s *segment, limit uint64, r *Recovery) (holes []hole, err error) {
	sc := scanner{file: s.file, salt: s.salt, at: dataStart, end: s.end, want: s.first, limit: limit, ahead: window}
	defer sc.release()
	durable := uint64(0)
	end := int64(dataStart)
	s.unsure = end
	for {
		h, _, at, err := sc.next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		damaged := at > end
		if damaged {
			holes = append(holes, hole{s: s, first: l.next, next: h.first, at: end, end: at})
		}
		s.note(h, at, damaged)
		if h.durable > durable {
			durable, s.unsure = h.durable, at
		}
		r.Records += uint64(h.count)
		l.next, end, s.marked = h.next(), sc.at, h.count == 0
	}
	if limit != forever {
		// The next segment was created when all records below its first one were durable.
		durable = limit
		if l.next < limit {
			holes = append(holes, hole{s: s, first: l.next, next: limit, at: end, end: s.end})
			l.next = limit
		}
	}
	for i := range holes {
		holes[i].unknown = holes[i].first >= durable
	}
	s.allocated = s.end
	s.end = end
	return holes, nil
}

// cut removes what is after the last frame of the last segment, and makes sure that the frames are on the disk. Those of the last
// write may have been read from memory: the process was killed before it had synced them, or the sync had failed. They are written
// once more, because after a failed sync the next one doesn't write them (see the package's comment).
func (l *Log) cut(s *segment, r *Recovery) error {
	buf := make([]byte, window)
	used := s.end
	for at := s.end; at < s.allocated; at += window {
		b := buf[:min(window, s.allocated-at)]
		if err := readDamaged(s.file, b, at); err != nil {
			return err
		}
		for i, c := range b {
			if c != 0 {
				used = at + int64(i) + 1
			}
		}
	}
	if used > s.end {
		r.Cut = used - s.end
		r.problem("%s: the last %d bytes are no whole write and were cut off: the write was not acknowledged before the crash, or they are damaged", s.name, r.Cut)
	}
	s.allocated = s.end
	if err := s.file.Truncate(s.end); err != nil {
		return err
	}
	for at := s.unsure; at < s.end; at += window {
		b := buf[:min(window, s.end-at)]
		if _, err := s.file.ReadAt(b, at); err != nil {
			return err
		}
		if _, err := s.file.WriteAt(b, at); err != nil {
			return err
		}
	}
	return s.file.sync()
}

// forever is a limit that no number reaches.
const forever = math.MaxUint64
