package loop

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/proxy/internal/netio"
)

// epoll is an epoll of our own inside Go's: its descriptor is readable when a socket is ready. It is edge-triggered: a socket
// that isn't read, since its reading is paused, is told of once.
type epoll struct {
	loop   *Loop
	fd     int
	file   *os.File // of fd
	bell   int      // an eventfd: each write to it is an edge, and it is never read
	done   chan struct{}
	events [128]unix.EpollEvent
	ready  int // of events
	buf    [readSize]byte
}

const (
	bellSlot = -1 // which no connection has
	hangups  = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

func newPoller(l *Loop) (poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("loop: epoll_create1: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("loop: eventfd: %w", err)
	}
	err = unix.SetNonblock(fd, true) // has os.NewFile give it to Go's poller
	if err == nil {
		err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: bellSlot})
	}
	if err != nil {
		unix.Close(fd)
		unix.Close(bell)
		return nil, fmt.Errorf("loop: epoll: %w", err)
	}
	return &epoll{loop: l, fd: fd, file: os.NewFile(uintptr(fd), "epoll"), bell: bell, done: make(chan struct{})}, nil
}

func (e *epoll) run() {
	defer close(e.done)
	raw, err := e.file.SyscallConn()
	if err == nil {
		_ = raw.Read(e.turns) // returns when the file is closed
	}
}

// turns runs until nothing is ready; false has it called again when something is.
func (e *epoll) turns(uintptr) bool {
	deliver := e.deliver
	for more := false; ; {
		e.ready = e.wait()
		if e.ready == 0 && !more {
			return false
		}
		more = e.loop.turn(deliver)
	}
}

// wait takes what is ready. The call doesn't block, so the scheduler isn't told of it: see netio.
func (e *epoll) wait() int {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(e.fd), uintptr(unsafe.Pointer(&e.events[0])), uintptr(len(e.events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
			continue
		}
		return 0
	}
}

// deliver is the input of a turn.
func (e *epoll) deliver() {
	for _, ev := range e.events[:e.ready] {
		c := e.loop.connLocked(uint32(ev.Fd), uint32(ev.Pad))
		if c == nil {
			continue // the bell, or closed earlier in this turn
		}
		if s, ok := c.d.(*socket); ok {
			s.event(ev.Events)
		} else if ev.Events&hangups != 0 {
			c.hangup()
		}
	}
}

func (e *epoll) wake() {
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(e.bell), uintptr(unsafe.Pointer(&one)), 8)
}

// adopt takes over plain sockets: it duplicates the descriptor and closes c, or Go's poller would be woken too. What can't be
// duplicated or watched is left to goroutines.
func (e *epoll) adopt(c net.Conn, h Handler) *Conn {
	raw := netio.Socket(c)
	if raw == nil {
		return nil
	}
	fd, err := -1, error(nil)
	cerr := raw.Control(func(f uintptr) { fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) })
	if cerr != nil || err != nil {
		return nil
	}
	s := &socket{epoll: e, fd: fd}
	s.Conn = Conn{loop: e.loop, h: h, d: s, nc: &addresses{c.LocalAddr(), c.RemoteAddr()}}
	e.loop.enterLocked(&s.Conn)
	if s.watch(unix.EPOLL_CTL_ADD) != nil {
		e.loop.leaveLocked(&s.Conn)
		unix.Close(fd)
		return nil
	}
	c.Close()
	return &s.Conn
}

// watch finds the socket below TLS and whatever else has a method NetConn.
func (e *epoll) watch(c *Conn) {
	raw := netio.Socket(innermost(c.nc))
	if raw == nil {
		return
	}
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(c.slot), Pad: int32(c.serial)}
	_ = raw.Control(func(fd uintptr) {
		if unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, int(fd), &ev) == unix.EEXIST { // it has been here before, until Detach
			_ = unix.EpollCtl(e.fd, unix.EPOLL_CTL_MOD, int(fd), &ev)
		}
	})
}

func (e *epoll) close() {
	e.file.Close()
	<-e.done
	unix.Close(e.bell)
}
