package queueproxy

import (
	"context"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// pollConnect blocks until a server listens at addr; it returns false when ctx ends before, and an error when the kernel
// gives it no socket.
func pollConnect(ctx context.Context, addr netip.AddrPort) (bool, error) {
	for ctx.Err() == nil {
		up, err := tryConnect(addr)
		if up || err != nil {
			return up, err
		}
		if !sleep(ctx, connectPollStep) {
			break
		}
	}
	return false, nil
}

// tryConnect needs a new socket for each attempt: unlike on Linux, a socket can't be reused after a refusal.
func tryConnect(addr netip.AddrPort) (bool, error) {
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()})
	if addr.Addr().Unmap().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().Unmap().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return false, os.NewSyscallError("fcntl", err)
	}
	err = unix.Connect(fd, sa)
	if err == unix.EINPROGRESS {
		err = connectResult(fd)
	}
	if err != nil {
		return false, nil
	}
	return !selfConnected(fd, addr), nil
}

// connectResult waits for a connection in progress, which on the loopback interface is short.
func connectResult(fd int) error {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(ready, 1); err != nil || n == 0 {
		return unix.ECONNREFUSED // try again at the next step
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// selfConnected reports whether the socket is connected to itself: if the kernel picks the destination port as the
// source port, TCP's simultaneous open succeeds (RFC 9293 §3.5).
func selfConnected(fd int, addr netip.AddrPort) bool {
	local, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch sa := local.(type) {
	case *unix.SockaddrInet4:
		return sa.Port == int(addr.Port())
	case *unix.SockaddrInet6:
		return sa.Port == int(addr.Port())
	}
	return false
}
