package queueproxy

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollConnect blocks until a server listens at addr; it returns false when ctx ends before, and an error when the kernel
// gives it no socket or timer.
//
// A step must be cheap: 667 happen each second while an app starts. The ticks come from a timerfd in Go's poller: a
// runtime timer would also wake Go's monitor thread (sysmon), twice a tick. The system calls, which don't block, bypass
// the scheduler (RawSyscall), which would wake sysmon too. All attempts use one socket, since Linux allows another
// connect after a refusal.
func pollConnect(ctx context.Context, addr netip.AddrPort) (bool, error) {
	k := connectPoller{addr: addr, fd: -1}
	if err := k.open(); err != nil {
		return false, err
	}
	defer k.close()
	if k.try() {
		return true, nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return false, os.NewSyscallError("timerfd_create", err)
	}
	ticks := os.NewFile(uintptr(fd), "timerfd")
	defer func() { _ = ticks.Close() }() // nothing was written
	every := unix.NsecToTimespec(connectPollStep.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return false, os.NewSyscallError("timerfd_settime", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ticks.SetReadDeadline(time.Unix(1, 0)) }) // ends the Read below
	defer stop()
	return k.loop(ticks)
}

// loop tries at each tick. It checks the deadline that ends it between ticks only, so it may end one tick late.
func (k *connectPoller) loop(ticks *os.File) (up bool, err error) {
	conn, err := ticks.SyscallConn()
	if err != nil {
		return false, err
	}
	var expired [8]byte
	err = conn.Read(func(fd uintptr) bool {
		_, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&expired)), unsafe.Sizeof(expired))
		if errno != 0 {
			return false // EAGAIN: wait for the next tick
		}
		up = k.try()
		return up
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return up, err
}

type connectPoller struct {
	addr netip.AddrPort
	fd   int
	sa   unix.RawSockaddrAny
	size uintptr
}

func (k *connectPoller) open() (err error) {
	k.close()
	family := unix.AF_INET6
	if k.addr.Addr().Unmap().Is4() {
		family = unix.AF_INET
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&k.sa))
		sa.Family, sa.Addr = unix.AF_INET, k.addr.Addr().Unmap().As4()
		putPort(&sa.Port, k.addr.Port())
		k.size = unix.SizeofSockaddrInet4
	} else {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&k.sa))
		sa.Family, sa.Addr = unix.AF_INET6, k.addr.Addr().As16()
		putPort(&sa.Port, k.addr.Port())
		k.size = unix.SizeofSockaddrInet6
	}
	k.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	return os.NewSyscallError("socket", err)
}

// putPort writes a port in network byte order.
func putPort(to *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(to))[:], port)
}

// try reports whether a server listens. The first call of connect sends the SYN; as a rule the kernel processes the refusal
// before the call returns, so a second call has the result. On a busy machine it may not have: the connect is still pending
// (EALREADY), as while a listener's queue is full, and a later try has the result. A pending connect must not count as
// listening: a TCP probe passes without another one.
func (k *connectPoller) try() bool {
	errno := k.connect()
	if errno == unix.EINPROGRESS {
		errno = k.connect()
	}
	if errno != 0 && errno != unix.EISCONN {
		return false
	}
	if !k.selfConnected() {
		return true
	}
	// The connection occupies the app's port: open closes it, too.
	return k.open() != nil
}

func (k *connectPoller) connect() syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(k.fd), uintptr(unsafe.Pointer(&k.sa)), k.size)
	return errno
}

// selfConnected reports whether the socket is connected to itself: if the kernel picks the destination port as the
// source port, TCP's simultaneous open succeeds (RFC 9293 §3.5).
func (k *connectPoller) selfConnected() bool {
	local, err := unix.Getsockname(k.fd)
	if err != nil {
		return false
	}
	switch sa := local.(type) {
	case *unix.SockaddrInet4:
		return sa.Port == int(k.addr.Port()) && sa.Addr == k.addr.Addr().Unmap().As4()
	case *unix.SockaddrInet6:
		return sa.Port == int(k.addr.Port()) && sa.Addr == k.addr.Addr().As16()
	}
	return false
}

func (k *connectPoller) close() {
	if k.fd >= 0 {
		_ = unix.Close(k.fd) // nothing was written
		k.fd = -1
	}
}
