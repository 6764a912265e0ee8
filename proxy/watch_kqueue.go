//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package proxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// poller is a kqueue of our own. Its events carry a descriptor only; they are taken and looked up under the watch's
// lock, under which descriptors are removed, so that none is taken for its successor.
type poller struct {
	watch  *watch
	kqueue int
	wake   [2]int // a pipe; closing its write end ends run
	ids    map[int]uint64
	done   chan struct{}
}

func newPoller(w *watch) (*poller, error) {
	kq, err := unix.Kqueue()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(kq)
	p := &poller{watch: w, kqueue: kq, ids: make(map[int]uint64), done: make(chan struct{})}
	if err := unix.Pipe(p.wake[:]); err != nil {
		unix.Close(kq)
		return nil, err
	}
	unix.CloseOnExec(p.wake[0])
	unix.CloseOnExec(p.wake[1])
	return p, nil
}

// run waits for events until close.
func (p *poller) run() {
	defer close(p.done)
	fds := []unix.PollFd{{Fd: int32(p.kqueue), Events: unix.POLLIN}, {Fd: int32(p.wake[0]), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		p.take()
	}
}

// take tells the watch of the ends among the events that there are.
func (p *poller) take() {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	var events [64]unix.Kevent_t
	n, err := unix.Kevent(p.kqueue, nil, events[:], &unix.Timespec{})
	if err != nil {
		return
	}
	for _, e := range events[:n] {
		if id := p.ids[int(e.Ident)]; id&anything != 0 || e.Flags&unix.EV_EOF != 0 {
			p.watch.goneLocked(id)
		}
	}
}

// addLocked has gone(id) called when the peer's FIN or RST comes, or has come; for an id with anything also when bytes do. To a
// kqueue it is the same if the connection has been added before.
func (p *poller) addLocked(raw syscall.RawConn, id uint64, _ bool) error {
	return p.change(raw, unix.EV_ADD|unix.EV_CLEAR, func(fd int) { p.ids[fd] = id })
}

func (p *poller) removeLocked(raw syscall.RawConn) {
	_ = p.change(raw, unix.EV_DELETE, func(fd int) { delete(p.ids, fd) })
}

func (p *poller) change(raw syscall.RawConn, flags int, then func(fd int)) error {
	var err error
	cerr := raw.Control(func(fd uintptr) {
		var e [1]unix.Kevent_t
		unix.SetKevent(&e[0], int(fd), unix.EVFILT_READ, flags)
		if _, err = unix.Kevent(p.kqueue, e[:], nil, nil); err == nil || flags == unix.EV_DELETE {
			then(int(fd))
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

func (p *poller) close() {
	unix.Close(p.wake[1])
	<-p.done
	unix.Close(p.wake[0])
	unix.Close(p.kqueue)
}
