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

// untilKnocked blocks until somebody listens at addr; false when ctx ends before. It fails when the kernel lets it have
// no socket or timer.
//
// A step must be cheap: it happens 667 times a second for as long as an app takes to start. Three things make it so.
// The ticks come from a timerfd in Go's poller: a runtime timer would wake sysmon as well, twice a tick. The system
// calls, none of which blocks, go past the scheduler (RawSyscall), which would wake sysmon too. And one socket serves
// for all attempts, since Linux lets connect be called again after a refusal.
func untilKnocked(ctx context.Context, addr netip.AddrPort) (bool, error) {
	k := knocker{addr: addr, fd: -1}
	if err := k.open(); err != nil {
		return false, err
	}
	defer k.close()
	if k.knock() {
		return true, nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return false, os.NewSyscallError("timerfd_create", err)
	}
	ticks := os.NewFile(uintptr(fd), "timerfd")
	defer func() { _ = ticks.Close() }() // nothing was written
	every := unix.NsecToTimespec(knockStep.Nanoseconds())
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return false, os.NewSyscallError("timerfd_settime", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = ticks.SetReadDeadline(time.Unix(1, 0)) }) // ends the Read below
	defer stop()
	return k.loop(ticks)
}

// loop knocks at each tick. The deadline that ends it is looked at between two ticks only, so it may come one late.
func (k *knocker) loop(ticks *os.File) (up bool, err error) {
	conn, err := ticks.SyscallConn()
	if err != nil {
		return false, err
	}
	var expired [8]byte
	err = conn.Read(func(fd uintptr) bool {
		_, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&expired)), unsafe.Sizeof(expired))
		if errno != 0 {
			return false // EAGAIN: park until the next tick
		}
		up = k.knock()
		return up
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return up, err
}

type knocker struct {
	addr netip.AddrPort
	fd   int
	sa   unix.RawSockaddrAny
	size uintptr
}

func (k *knocker) open() (err error) {
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

// knock tries to connect. The first call sends the SYN; its refusal is processed on the way out of the call, so that
// the second has the result. Anything but a refusal counts as somebody there: at worst the probe proper fails.
func (k *knocker) knock() bool {
	if errno := k.connect(); errno == unix.EINPROGRESS {
		errno = k.connect()
		switch errno {
		case 0, unix.EISCONN, unix.EALREADY, unix.EINPROGRESS:
		default:
			return false
		}
	} else if errno != 0 && errno != unix.EISCONN {
		return false
	}
	if !k.self() {
		return true
	}
	// open also ends the connection, which keeps the app from its port.
	return k.open() != nil
}

func (k *knocker) connect() syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(k.fd), uintptr(unsafe.Pointer(&k.sa)), k.size)
	return errno
}

// self reports whether the connection is to itself: when the kernel takes the very port that was asked for as the
// connection's own, TCP's simultaneous open succeeds (RFC 9293 §3.5).
func (k *knocker) self() bool {
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

func (k *knocker) close() {
	if k.fd >= 0 {
		_ = unix.Close(k.fd) // nothing was written
		k.fd = -1
	}
}
