package proxy

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// splice moves bytes from one socket to another within the kernel: a take and a give, which are what a Read and a Write
// are, and end with deadlines as those do. In between the bytes are in a pipe. None is held while there are no bytes. It
// belongs to one goroutine, and neither socket may be in a RawConn callback of the same direction.
type splice struct {
	pipes    *pipes
	clock    *clock
	before   *inbox // what has been read from the source already, and goes first
	from, to syscall.RawConn

	pipe  *pipe // between take and give
	most  int
	moved int
	err   error
	taker func(fd uintptr) bool
	giver func(fd uintptr) bool
}

func newSplice(p *pipes, c *clock, before *inbox, from, to syscall.RawConn) *splice {
	s := &splice{pipes: p, clock: c, before: before, from: from, to: to}
	s.taker, s.giver = s.takeStep, s.giveStep
	return s
}

// take blocks until something has come, and takes up to most bytes of it, which give has to follow. It fails as a read
// does, with io.EOF at the end. No bytes and no error: what comes has to be copied, this time.
func (s *splice) take(most int64) (n int, err error) {
	if s == nil || s.before.len() > 0 {
		return 0, nil
	}
	s.most, s.moved, s.err = int(min(most, spliceMost)), 0, nil
	if err := s.from.Read(s.taker); err != nil {
		return 0, err
	}
	s.clock.touch(s.moved)
	return s.moved, s.err
}

// takeStep is one go at take, inside RawConn.Read.
func (s *splice) takeStep(fd uintptr) (done bool) {
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

// give blocks until what take has taken has been written, as far as that goes: n bytes. It fails as a write does.
func (s *splice) give() (n int, err error) {
	s.moved, s.err = 0, nil
	err = s.to.Write(s.giver)
	if err == nil {
		err = s.err
	}
	s.pipes.put(s.pipe)
	s.pipe = nil
	return s.moved, err
}

// giveStep is one go at give, inside RawConn.Write.
func (s *splice) giveStep(fd uintptr) (done bool) {
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
		s.clock.touch(n)
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
