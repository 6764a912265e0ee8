package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Log is an open log.
type Log struct {
	config Config
	disk   disk
	lock   io.Closer
	salt   uint32
	wake   chan struct{} // of one: there is something to do for run
	ended  chan struct{} // closed when run has returned
	err    error         // of end

	collecting sync.Mutex
	group      *group // that callers join
	closing    bool   // no more callers join

	mu       sync.RWMutex
	segments []*segment    // oldest first
	next     uint64        // records below are durable
	trim     uint64        // records below aren't needed
	appended chan struct{} // nil unless somebody waits
	closed   bool
	stats    Stats

	// Of run alone:

	active *segment // the last one of segments; nil if the next write needs a new one
	timer  *time.Timer
}

// group is what is written at once.
type group struct {
	buf     []byte
	records uint64

	taken chan struct{} // closed when no more callers join
	done  chan struct{} // closed when first and err are set
	first uint64
	err   error
}

// Stats are counts since the log was opened, and its state.
type Stats struct {
	First, Next uint64 // as Bounds
	Segments    int
	Bytes       int64
	// Records were appended, by Writes.
	Records, Writes uint64
	// Failures counts writes that failed; Failure is the last one's reason, nil when a write has succeeded since.
	Failures uint64
	Failure  error
	// Dropped counts records that MaxBytes or MaxAge deleted before TrimTo allowed it.
	Dropped uint64
}

func newGroup(buf []byte) *group {
	return &group{buf: buf[:0], taken: make(chan struct{}), done: make(chan struct{})}
}

// Append appends copies of the records, all or none of them, and returns the number of the first one when they are durable. Callers
// that come while others' records are written share the next write. When ctx ends first the records may be appended all the same.
//
// After an error of the file system none of them can be read, and later calls may succeed: ErrFull if there was no space. Only
// if the process is killed before a later call has succeeded, Open may find them.
func (l *Log) Append(ctx context.Context, records ...[]byte) (first uint64, err error) {
	for _, r := range records {
		if len(r) > l.config.MaxRecord {
			return 0, fmt.Errorf("%w: a record has %d bytes, %d are allowed", ErrTooLarge, len(r), l.config.MaxRecord)
		}
	}
	if len(records) == 0 {
		_, next := l.Bounds()
		return next, nil
	}
	length, room := frameLength(records), l.config.SegmentBytes-dataStart
	if length > room {
		return 0, fmt.Errorf("%w: %d records have %d bytes together, a segment has room for %d", ErrTooLarge, len(records), length, room)
	}
	g, offset, err := l.join(ctx, records, length)
	if err != nil {
		return 0, err
	}
	select {
	case <-g.done:
		return g.first + offset, g.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// join adds the records to the group, when it has room, and returns it and how many records it had before.
func (l *Log) join(ctx context.Context, records [][]byte, length int64) (g *group, offset uint64, err error) {
	for ctx.Err() == nil {
		l.collecting.Lock()
		g := l.group
		if l.closing {
			l.collecting.Unlock()
			return nil, 0, ErrClosed
		}
		if have := int64(len(g.buf)); have > 0 && have+length > min(maxGroup, l.config.SegmentBytes-dataStart) {
			l.collecting.Unlock()
			select {
			case <-g.taken:
			case <-ctx.Done():
			}
			continue
		}
		offset := g.records
		g.buf = appendFrame(g.buf, records)
		g.records += uint64(len(records))
		l.collecting.Unlock()
		l.poke()
		return g, offset, nil
	}
	return nil, 0, context.Cause(ctx)
}

func (l *Log) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Bounds returns the number of the first record that there is, and of the next one that will be appended. They are the same when
// the log is empty.
func (l *Log) Bounds() (first, next uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.firstLocked(), l.next
}

func (l *Log) firstLocked() uint64 {
	if len(l.segments) == 0 {
		return l.next
	}
	return l.segments[0].first
}

// scannerLocked returns a scanner that comes to a record that is between the bounds, and its segment.
func (l *Log) scannerLocked(seq uint64) (*segment, scanner) {
	i, limit := len(l.segments)-1, l.next
	for ; l.segments[i].first > seq; i-- {
		limit = l.segments[i].first
	}
	s := l.segments[i]
	at, first := s.from(seq)
	return s, scanner{file: s.file, salt: s.salt, at: at, end: s.end, want: first, limit: limit}
}

// Appended returns a channel that is closed when more records can be read than at the time of the call, or when the log is closed.
func (l *Log) Appended() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.appended == nil {
		l.appended = make(chan struct{})
	}
	return l.appended
}

// Read reads the record of a number into buf, or into a new buffer if it doesn't fit. Its error is ErrGone, ErrNotYet, ErrCorrupt,
// ErrClosed, or the file system's. It reads at most 8 KiB in front of the record, and all records that were appended with it.
func (l *Log) Read(seq uint64, buf []byte) ([]byte, error) {
	var sc scanner
	l.mu.RLock()
	closed, first, next := l.closed, l.firstLocked(), l.next
	if seq >= first && seq < next {
		_, sc = l.scannerLocked(seq)
	}
	l.mu.RUnlock()
	switch {
	case closed:
		return nil, ErrClosed
	case seq < first:
		return nil, fmt.Errorf("record %d: %w: it begins at %d", seq, ErrGone, first)
	case seq >= next:
		return nil, fmt.Errorf("record %d: %w", seq, ErrNotYet)
	}
	sc.ahead = indexBytes
	record, err := sc.find(seq, buf)
	if errors.Is(err, fs.ErrClosed) {
		l.mu.RLock()
		defer l.mu.RUnlock()
		if l.closed {
			return nil, ErrClosed
		}
		err = ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", seq, err)
	}
	return record, nil
}

// TrimTo says that no record before seq is needed any more. Segments that have no others are deleted, soon after. It doesn't block.
func (l *Log) TrimTo(seq uint64) {
	l.mu.Lock()
	l.trim = max(l.trim, seq)
	l.mu.Unlock()
	l.poke()
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := l.stats
	s.First, s.Next, s.Segments = l.firstLocked(), l.next, len(l.segments)
	for _, one := range l.segments {
		s.Bytes += one.end
	}
	return s
}

// Close writes what callers of Append wait for, marks the log as closed, so that Open doesn't take damage for a crash, and
// closes the files. Reading fails with ErrClosed then.
func (l *Log) Close() error {
	l.collecting.Lock()
	closing := l.closing
	l.closing = true
	l.collecting.Unlock()
	if closing {
		return ErrClosed
	}
	l.poke()
	<-l.ended
	return l.err
}

// run writes groups, and deletes segments, until Close.
func (l *Log) run() {
	defer close(l.ended)
	var spare []byte
	for {
		select {
		case <-l.wake:
		case <-l.timer.C:
		}
		// Callers whose records have just become durable may have more: if those who waited in the meantime were written at once,
		// the two would take turns from then on, and each write would have half of them.
		runtime.Gosched()
		var g *group
		l.collecting.Lock()
		closing := l.closing
		if len(l.group.buf) > 0 {
			g, l.group = l.group, newGroup(spare)
		}
		l.collecting.Unlock()
		if g != nil {
			close(g.taken)
			l.commit(g)
			if spare = g.buf; cap(spare) > maxGroup {
				spare = nil
			}
		}
		l.retain()
		// The callers that had joined when it was read are done.
		if closing {
			l.end()
			return
		}
	}
}

// commit writes a group, shows it to readers, and wakes its callers.
func (l *Log) commit(g *group) {
	at, err := l.write(g)
	l.mu.Lock()
	g.first, g.err = l.next, err
	if l.stats.Failure = err; err != nil {
		l.stats.Failures++
		l.mu.Unlock()
		close(g.done)
		return
	}
	s := l.active
	s.last = time.Now()
	for rest := g.buf; len(rest) > 0; {
		h, _ := parseHeader(rest, l.salt)
		s.note(h, at, false)
		rest, at = rest[h.length():], at+h.length()
	}
	s.end = at
	s.marked = false
	l.next += g.records
	l.stats.Records += g.records
	l.stats.Writes++
	appended := l.appended
	l.appended = nil
	l.mu.Unlock()
	close(g.done)
	if appended != nil {
		close(appended)
	}
}

// zeros is how many bytes follow a small write, at most; see the package's comment.
const zeros = 256 << 10

var blank [zeros]byte

// write writes a group to the active segment, and returns where.
func (l *Log) write(g *group) (at int64, err error) {
	length := len(g.buf)
	if s := l.active; s == nil || s.end > dataStart && (s.end+int64(length) > l.config.SegmentBytes || l.old(s)) {
		if err := l.roll(); err != nil {
			return 0, fmt.Errorf("new segment of the log: %w", full(err))
		}
	}
	s := l.active
	next := l.next
	for rest := g.buf; len(rest) > 0; {
		rest, next = number(rest, l.salt, next, l.next)
	}
	if err := l.writeAndSync(s, g.buf); err != nil {
		// Nobody knows what is on the disk now. What truncation achieves is only that less is found after a crash.
		_ = s.file.Truncate(s.end)
		l.active = nil
		return 0, fmt.Errorf("log: %w", full(err))
	}
	return s.end, nil
}

func (l *Log) writeAndSync(s *segment, b []byte) error {
	if _, err := s.file.WriteAt(b, s.end); err != nil {
		return err
	}
	if end := s.end + int64(len(b)); end > s.allocated {
		s.allocated = end
		if len(b) < zeros/4 {
			// Without them nothing is missing: an error doesn't matter.
			n, _ := s.file.WriteAt(blank[:max(0, min(zeros, l.config.SegmentBytes-end))], end)
			s.allocated += int64(n)
		}
	}
	return s.file.sync()
}

// old tells whether a segment has been written to for so long that another one should begin, so that it can be dropped.
func (l *Log) old(s *segment) bool {
	return l.config.MaxAge > 0 && time.Since(s.created) > l.config.MaxAge/8
}

// roll creates the next segment. The one before is not written to again, even if this fails: the new one may exist all the same,
// and then no record after its first number counts in the one before.
func (l *Log) roll() (err error) {
	if s := l.active; s != nil {
		_ = s.file.Truncate(s.end) // the zeros
		l.active = nil
	}
	s := &segment{name: segmentName(l.next), first: l.next, salt: l.salt, created: time.Now(), end: dataStart, allocated: dataStart}
	s.last = s.created
	if s.file, err = l.disk.create(s.name + temporary); err != nil {
		return err
	}
	_, err = s.file.WriteAt(s.encode(), 0)
	if err == nil {
		err = s.file.sync()
	}
	if err == nil {
		err = l.disk.rename(s.name+temporary, s.name)
	}
	if err == nil {
		err = l.disk.sync()
	}
	if err != nil {
		s.file.Close()
		_ = l.disk.remove(s.name + temporary)
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// A segment without records has been replaced: its first write failed.
	if n := len(l.segments); n > 0 && l.segments[n-1].first == s.first {
		l.segments[n-1].file.Close()
		l.segments = l.segments[:n-1]
	}
	l.segments = append(l.segments, s)
	l.active = s
	return nil
}

// retain deletes the oldest segments: those that were trimmed, and those that MaxBytes and MaxAge exceed. The last one stays: it
// knows the next number.
func (l *Log) retain() {
	l.expire()
	l.mu.Lock()
	total := int64(0)
	for _, s := range l.segments {
		total += s.end
	}
	n := 0
	for ; n < len(l.segments)-1; n++ {
		s, next := l.segments[n], l.segments[n+1].first
		needed := next - max(s.first, min(l.trim, next))
		if needed > 0 && (l.config.MaxBytes == 0 || total <= l.config.MaxBytes) && !l.expired(s) {
			break
		}
		l.stats.Dropped += needed
		total -= s.end
	}
	dropped := slices.Clone(l.segments[:n])
	l.segments = slices.Delete(l.segments, 0, n)
	l.mu.Unlock()
	for _, s := range dropped {
		s.file.Close()
		// One that stays is found by the next Open.
		_ = l.disk.remove(s.name)
	}
}

func (l *Log) expired(s *segment) bool {
	return l.config.MaxAge > 0 && time.Since(s.last) >= l.config.MaxAge
}

// expire ends the active segment when it is time to drop it, and sets the timer for the next one.
func (l *Log) expire() {
	if l.config.MaxAge == 0 {
		return
	}
	if s := l.active; s != nil && s.end > dataStart && l.expired(s) {
		// If it fails, the next Append tries again and has the error.
		_ = l.roll()
	}
	l.timer.Reset(l.config.MaxAge / 8)
}

// end marks the log as closed and closes the files.
func (l *Log) end() {
	l.timer.Stop()
	if s := l.active; s != nil && !s.marked {
		frame := appendFrame(nil, nil)
		number(frame, l.salt, l.next, l.next)
		_, err := s.file.WriteAt(frame, s.end)
		if err == nil {
			err = s.file.Truncate(s.end + int64(len(frame)))
		}
		if err == nil {
			err = s.file.sync()
		}
		l.err = err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, s := range l.segments {
		s.file.Close()
	}
	if l.appended == nil {
		l.appended = make(chan struct{})
	}
	close(l.appended)
	l.err = errors.Join(l.err, l.lock.Close())
}
