package eventlog

import (
	"errors"
	"io"
	"io/fs"
)

// Skipped counts records that a Reader could not return.
type Skipped struct {
	// Trimmed: they were dropped before the Reader came to them.
	Trimmed uint64
	// Corrupt: they can't be read.
	Corrupt uint64
}

// Reader reads a log in order, through a buffer of 64 KiB, or of the longest frame while that is being read. One goroutine may
// use it at a time. It needs no closing.
type Reader struct {
	log     *Log
	seq     uint64 // of the next record
	skipped Skipped

	segment *segment
	scanner scanner
	frame   header // what has been read ahead; its last records from seq on are still to be returned
	body    []byte
	offset  uint64 // of the next record, in the body
}

// Reader returns a Reader that begins with the record of the number from, or with the first one after it that there is. A number
// after the last record means the next one to be appended.
func (l *Log) Reader(from uint64) *Reader {
	_, next := l.Bounds()
	return &Reader{log: l, seq: min(max(from, 1), next)}
}

// Next returns the next record and its number. The record is valid until the next call. ErrNotYet says that there is none until
// Appended tells so; after ErrClosed there won't be any. Other errors come from the file system; a call after one tries again.
func (r *Reader) Next() (seq uint64, record []byte, err error) {
	for {
		if r.seq >= r.frame.first && r.seq < r.frame.next() {
			seq = r.seq
			r.seq++
			var ok bool
			if record, r.offset, ok = r.frame.record(r.body, seq, r.offset); ok {
				return seq, record, nil
			}
			r.skipped.Corrupt++
			continue
		}
		r.frame = header{}
		if r.segment == nil || r.scanner.want >= r.scanner.limit {
			if err := r.proceed(); err != nil {
				return 0, nil, err
			}
		}
		h, body, _, err := r.scanner.next()
		switch {
		case err == nil && h.next() > r.seq:
			r.skipTo(h.first)
			r.frame, r.body, r.offset = h, body, h.offset(body, r.seq)
		case err == nil: // a frame before the one that is looked for
		case errors.Is(err, io.EOF):
			// The part of the segment should have had all records up to the limit.
			r.skipTo(r.scanner.limit)
			r.scanner.want, r.scanner.at = r.scanner.limit, r.scanner.end
		case errors.Is(err, fs.ErrClosed):
			r.segment = nil // trimmed, or the log is closed: proceed knows
		default:
			return 0, nil, err
		}
	}
}

func (r *Reader) skipTo(seq uint64) {
	if seq > r.seq {
		r.skipped.Corrupt += seq - r.seq
		r.seq = seq
	}
}

// proceed prepares the scanner for the part of the log in which the next record is.
func (r *Reader) proceed() error {
	l := r.log
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	if first := l.firstLocked(); r.seq < first {
		r.skipped.Trimmed += first - r.seq
		r.seq = first
	}
	if r.seq >= l.next {
		r.scanner.release() // most of many Readers wait most of the time
		return ErrNotYet
	}
	s, sc := l.scannerLocked(r.seq)
	if s == r.segment && r.scanner.want == r.seq {
		r.scanner.end, r.scanner.limit = sc.end, sc.limit
		return nil
	}
	sc.ahead, sc.buf = window, r.scanner.buf[:0]
	r.segment, r.scanner = s, sc
	return nil
}

// Skipped returns how many records the Reader has passed over since the last call of Skipped: between two records that Next has
// returned, before the first one, and at the end of the log.
func (r *Reader) Skipped() Skipped {
	s := r.skipped
	r.skipped = Skipped{}
	return s
}
