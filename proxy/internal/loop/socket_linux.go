package loop

import (
	"io"
	"net"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// socket is a connection whose descriptor is the Loop's.
type socket struct {
	Conn
	epoll   *epoll
	fd      int
	rest    []byte // what Input has left
	mayRead bool   // there may be bytes, or the end, in the kernel
	again   bool   // rest is to be given again though nothing has come
	blocked bool   // the kernel takes no more output
	outs    bool   // epoll tells when it does
	shutWR  bool
	deaf    error // why the peer takes no more; what it has said before is read first
}

// watch has epoll tell of s. It isn't told of room for output before output has met none, since most connections never do.
func (s *socket) watch(op int) error {
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET)
	if s.outs {
		events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(s.epoll.fd, op, s.fd, &unix.EpollEvent{Events: events, Fd: int32(s.slot), Pad: int32(s.serial)})
}

// event is told by epoll.
func (s *socket) event(events uint32) {
	if s.blocked && events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.blocked = false
		s.setDirty()
	}
	if s.ended && !s.muted && (events&unix.EPOLLERR != 0 || events&unix.EPOLLHUP != 0 && !s.shutWR) {
		s.fail(s.broken())
		return
	}
	if events&hangups != 0 {
		s.hangup()
	}
	if events&(unix.EPOLLIN|hangups) != 0 {
		if s.mayRead = true; !s.queued { // or it reads its share in this turn anyway
			s.goOn()
		}
	}
}

// broken is why the connection is.
func (s *socket) broken() error {
	if n, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
		return syscall.Errno(n)
	}
	return unix.ECONNRESET
}

func (s *socket) quiet() bool {
	if s.mayRead || len(s.rest) > 0 {
		return false
	}
	var b [1]byte
	n, err := netio.PeekFD(uintptr(s.fd), b[:])
	return n < 0 && err == nil
}

func (s *socket) unread(p []byte) {
	s.keep(p)
	s.again = true
	s.loop.laterLocked(&s.Conn)
}

func (s *socket) resumed() {
	if s.mayRead || len(s.rest) > 0 {
		s.again = true
		s.loop.laterLocked(&s.Conn)
	}
}

// goOn reads. A read that doesn't fill the buffer has emptied the socket; the next bytes, or a FIN, are another edge. If the FIN has
// been told of, all has to be read.
func (s *socket) goOn() {
	if s.paused || s.muted || s.ended {
		return
	}
	buf := s.epoll.buf[:]
	have := copy(buf, s.rest)
	if s.again && have > 0 {
		have = s.take(buf[:have])
	}
	s.again = false
	var err error
	for reads := 0; err == nil && s.mayRead && !s.paused && !s.muted; reads++ {
		if reads == readsMost {
			s.loop.laterLocked(&s.Conn)
			break
		}
		var n int
		var empty bool
		n, empty, err = netio.Read(uintptr(s.fd), buf[have:])
		if empty || err != nil || n < len(buf)-have && !s.hup && s.deaf == nil {
			s.mayRead = false
		}
		if n > 0 {
			have = s.take(buf[:have+n])
		}
	}
	s.keep(buf[:have])
	switch {
	case s.muted:
	case s.deaf != nil && (err != nil || !s.mayRead && !s.paused):
		s.fail(s.deaf)
	case err == io.EOF:
		s.end()
	case err != nil:
		s.fail(err)
	}
}

// keep has rest put before what is read next. Idle connections hold nothing.
func (s *socket) keep(rest []byte) {
	switch {
	case len(rest) == 0 || s.gone:
		s.rest = nil
	case cap(s.rest) >= len(rest) && cap(s.rest) <= 2*len(rest):
		s.rest = append(s.rest[:0], rest...)
	default:
		s.rest = slices.Clip(slices.Clone(rest))
	}
}

func (s *socket) send() {
	if len(s.out) >= full {
		s.full = true
	}
	if s.deaf != nil {
		s.loop.buffers.put(&s.out)
	}
	if len(s.out) > 0 && !s.blocked {
		if err := s.write(); err != nil {
			s.unsendable(err)
			return
		}
	}
	s.sent()
	if len(s.out) > 0 {
		if s.closing {
			s.loop.closesLocked(&s.Conn)
		}
		return
	}
	s.loop.buffers.put(&s.out)
	switch {
	case s.closing:
		s.cut(false)
	case s.detach != nil:
		s.leave()
	case s.shut && !s.shutWR:
		s.shutWR = true
		_ = unix.Shutdown(s.fd, unix.SHUT_WR)
	}
}

// flush leaves a failure to send, at the end of the turn, where it is met again.
func (s *socket) flush() {
	if len(s.out) == 0 || s.blocked || s.deaf != nil {
		return
	}
	if n := netio.Write(uintptr(s.fd), s.out); n > 0 {
		s.wrote += int64(n)
		if n == len(s.out) {
			s.out = s.out[:0]
		} else {
			s.out = s.out[n:]
		}
	}
}

// unsendable is a failed write. A peer that has closed the connection may have said something before.
func (s *socket) unsendable(err error) {
	if s.muted || s.ended || s.deaf != nil {
		s.fail(err)
		return
	}
	s.deaf, s.mayRead = err, true
	s.loop.buffers.put(&s.out)
	s.loop.laterLocked(&s.Conn)
}

// write sends as much of Out as the kernel takes.
func (s *socket) write() error {
	n := netio.Write(uintptr(s.fd), s.out)
	if n == 0 { // why?
		var err error
		n, err = syscall.Write(s.fd, s.out)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return err
		}
		n = max(n, 0)
	}
	s.wrote += int64(n)
	if n == len(s.out) {
		s.out = s.out[:0]
		return nil
	}
	s.out = s.out[n:] // not moved to the front: that would be quadratic
	s.blocked = true
	if !s.outs {
		s.outs = true
		return s.watch(unix.EPOLL_CTL_MOD)
	}
	return nil
}

func (s *socket) cut(reset bool) {
	if reset {
		_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	s.loop.leaveLocked(&s.Conn)
	s.rest = nil
	unix.Close(s.fd) // which ends the watch, too
}

func (s *socket) stop() {
	s.send()
	if !s.gone {
		s.cut(false)
		s.detached(nil, nil, net.ErrClosed)
	}
}

// leave gives the descriptor back to Go.
func (s *socket) leave() {
	rest := s.rest
	err := unix.EpollCtl(s.epoll.fd, unix.EPOLL_CTL_DEL, s.fd, nil)
	var nc net.Conn
	if err == nil {
		f := os.NewFile(uintptr(s.fd), "socket")
		nc, err = net.FileConn(f) // duplicates it
		f.Close()
	} else {
		unix.Close(s.fd)
	}
	s.loop.leaveLocked(&s.Conn)
	s.rest = nil
	if err != nil {
		rest = nil
	}
	s.detached(nc, rest, err)
}
