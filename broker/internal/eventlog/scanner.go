package eventlog

import (
	"errors"
	"io"
	"sync"
	"syscall"
)

const (
	window = 64 << 10
	page   = 4096
)

// scanner reads the frames of a part of a segment, in order, and passes over what is damaged.
type scanner struct {
	file  io.ReaderAt
	salt  uint32
	at    int64  // where the next frame should be
	end   int64  // where the part ends
	want  uint64 // the next frame's first record, if nothing is damaged
	limit uint64 // frames of records from this one on don't count: their write failed
	ahead int    // how much is read at once, at most a window

	buf  []byte // a part of the file
	from int64  // where it is in the file
}

// next returns the next intact frame and where it is; io.EOF if there is none. The body is valid until the next call.
func (s *scanner) next() (h header, body []byte, at int64, err error) {
	for at = s.at; at+frameHeader <= s.end; {
		b, err := s.peek(at, frameHeader)
		if err != nil {
			return header{}, nil, 0, err
		}
		h, ok := parseHeader(b, s.salt)
		if !ok || h.first < s.want || h.next() > s.limit || at+h.length() > s.end {
			at += alignment
			continue
		}
		if b, err = s.peek(at, int(h.length())); err != nil {
			return header{}, nil, 0, err
		}
		if body = b[frameHeader:]; !h.intact(body) {
			at += h.length()
			continue
		}
		s.at, s.want = at+h.length(), h.next()
		return h, body, at, nil
	}
	return header{}, nil, 0, io.EOF
}

// find reads a record into buf.
func (s *scanner) find(seq uint64, buf []byte) ([]byte, error) {
	defer s.release()
	for {
		h, body, _, err := s.next()
		switch {
		case errors.Is(err, io.EOF) || err == nil && h.first > seq:
			return nil, ErrCorrupt
		case err != nil:
			return nil, err
		case h.next() > seq:
			record, _, ok := h.record(body, seq, h.offset(body, seq))
			if !ok {
				return nil, ErrCorrupt
			}
			return append(buf[:0], record...), nil
		}
	}
}

// peek returns n bytes of the file from at on, which are before the end.
func (s *scanner) peek(at int64, n int) ([]byte, error) {
	if at < s.from || at+int64(n) > s.from+int64(len(s.buf)) {
		if err := s.fill(at, n); err != nil {
			return nil, err
		}
	}
	return s.buf[at-s.from:][:n], nil
}

// fill reads a window of the file, and more than one if that many bytes are needed.
func (s *scanner) fill(at int64, n int) error {
	size := int(min(int64(max(n, s.ahead)), s.end-at))
	if cap(s.buf) < size || cap(s.buf) > window && size <= window {
		s.release()
		if size > window {
			s.buf = make([]byte, size)
		} else {
			s.buf = windows.Get().(*[window]byte)[:]
		}
	}
	s.buf, s.from = s.buf[:size], at
	if err := readDamaged(s.file, s.buf, at); err != nil {
		s.buf = s.buf[:0]
		return err
	}
	return nil
}

// release gives the buffer back. What next has returned is invalid then.
func (s *scanner) release() {
	if cap(s.buf) == window {
		windows.Put((*[window]byte)(s.buf[:window]))
	}
	s.buf = nil
}

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// readDamaged fills b from the file. What the disk can't read any more, or the file has lost, is zeros; other errors may pass.
func readDamaged(f io.ReaderAt, b []byte, at int64) error {
	if _, err := f.ReadAt(b, at); err == nil {
		return nil
	}
	for len(b) > 0 {
		one := b[:min(len(b), page-int(at%page))]
		n, err := f.ReadAt(one, at)
		if err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, io.EOF) {
			return err
		}
		clear(one[n:])
		b, at = b[len(one):], at+int64(len(one))
	}
	return nil
}
