package proxy

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// poller is an epoll of our own inside Go's: its descriptor is readable when a client has gone.
type poller struct {
	watch *watch
	epoll int
	file  *os.File // of epoll
	done  chan struct{}
}

func newPoller(w *watch) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &poller{watch: w, epoll: fd, file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}, nil
}

// run waits for events until close.
func (p *poller) run() {
	defer close(p.done)
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(p.wait) // returns when the file is closed
}

// wait takes what there is of events; false has it called again when there are more.
func (p *poller) wait(fd uintptr) bool {
	var events [64]unix.EpollEvent
	for {
		n, err := unix.EpollWait(int(fd), events[:], 0)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return false
		}
		for _, e := range events[:n] {
			p.watch.gone(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
		}
	}
}

// addLocked has gone(id) called when the peer's FIN or RST comes, or has come; for an id with anything also when bytes do. again:
// the connection has been added before.
func (p *poller) addLocked(raw syscall.RawConn, id uint64, again bool) error {
	op := unix.EPOLL_CTL_ADD
	if again {
		op = unix.EPOLL_CTL_MOD
	}
	events := uint32(unix.EPOLLRDHUP | unix.EPOLLET)
	if id&anything != 0 {
		events = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT
	}
	var err error
	cerr := raw.Control(func(fd uintptr) {
		err = unix.EpollCtl(p.epoll, op, int(fd), &unix.EpollEvent{
			Events: events, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32)),
		})
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// removeLocked ends what addLocked began; a connection that has been closed meanwhile has ended it itself.
func (p *poller) removeLocked(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
	})
}

func (p *poller) close() {
	p.file.Close()
	<-p.done
}
