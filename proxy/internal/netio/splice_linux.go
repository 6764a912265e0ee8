package netio

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// Splice moves bytes from one socket to another within the kernel: a Take and a Give, which are what a Read and a Write
// are, and end with deadlines as those do. In between the bytes are in a pipe. None is held while there are no bytes. It
// belongs to one goroutine, and neither socket may be in a RawConn callback of the same direction.
type Splice struct {
	pipes    *Pipes
	source   Source
	from, to syscall.RawConn

	pipe  *pipe // between Take and Give
	most  int
	moved int
	err   error
	taker func(fd uintptr) bool
	giver func(fd uintptr) bool
}

// NewSplice makes one from a socket to another.
func NewSplice(p *Pipes, source Source, from, to syscall.RawConn) *Splice {
	s := &Splice{pipes: p, source: source, from: from, to: to}
	s.taker, s.giver = s.takeStep, s.giveStep
	return s
}

// Take blocks until something has come, and takes up to most bytes of it, which Give has to follow. It fails as a read
// does, with io.EOF at the end. No bytes and no error: what comes has to be copied, this time.
func (s *Splice) Take(most int64) (n int, err error) {
	if s == nil || s.source.Pending() {
		return 0, nil
	}
	s.most, s.moved, s.err = int(min(most, SpliceMost)), 0, nil
	if err := s.from.Read(s.taker); err != nil {
		return 0, err
	}
	s.source.Moved(s.moved)
	return s.moved, s.err
}

// takeStep is one go at Take, inside RawConn.Read.
func (s *Splice) takeStep(fd uintptr) (done bool) {
	p := s.pipes.get()
	if p == nil {
		return true
	}
	n, err := move(int(fd), p.in, s.most)
	if n > 0 {
		p.holds, s.pipe, s.moved = n, p, n
		return true
	}
	s.pipes.put(p)
	switch err {
	case unix.EAGAIN:
		return false
	case nil:
		s.err = io.EOF
	case unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.ENOMEM: // not from such a socket, not in such a sandbox, not now
	default:
		s.err = err
	}
	return true
}

// Give blocks until what Take has taken has been written, as far as that goes: n bytes. It fails as a write does.
func (s *Splice) Give() (n int, err error) {
	s.moved, s.err = 0, nil
	err = s.to.Write(s.giver)
	if err == nil {
		err = s.err
	}
	s.pipes.put(s.pipe)
	s.pipe = nil
	return s.moved, err
}

// giveStep is one go at Give, inside RawConn.Write.
func (s *Splice) giveStep(fd uintptr) (done bool) {
	for s.pipe.holds > 0 {
		n, err := move(s.pipe.out, int(fd), s.pipe.holds)
		switch {
		case err == unix.EAGAIN:
			return false
		case err != nil:
			s.err = err
			return true
		case n == 0:
			s.err = io.ErrNoProgress
			return true
		}
		s.pipe.holds -= n
		s.moved += n
		s.source.Moved(n)
	}
	return true
}

// move is splice(2) between two descriptors that don't block. The scheduler is told of it, unlike of reads and writes: so
// much takes some 100 µs.
func move(from, to, most int) (n int, err error) {
	for {
		m, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return int(max(m, 0)), err
		}
	}
}
