package queueproxy

import (
	"context"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// untilKnocked blocks until somebody listens at addr; false when ctx ends before. It fails when the kernel lets it have
// no socket.
func untilKnocked(ctx context.Context, addr netip.AddrPort) (bool, error) {
	for ctx.Err() == nil {
		up, err := knock(addr)
		if up || err != nil {
			return up, err
		}
		if !sleep(ctx, knockStep) {
			break
		}
	}
	return false, nil
}

// knock tries to connect. A socket can't be used again after a refusal here, as it can on Linux.
func knock(addr netip.AddrPort) (bool, error) {
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
		err = settle(fd)
	}
	if err != nil {
		return false, nil
	}
	return !self(fd, addr), nil
}

// settle waits for a connection under way, which on the loopback is never long.
func settle(fd int) error {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(ready, 1); err != nil || n == 0 {
		return unix.ECONNREFUSED // ask again at the next step
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// self reports whether the connection is to itself: when the kernel takes the very port that was asked for as the
// connection's own, TCP's simultaneous open succeeds (RFC 9293 §3.5).
func self(fd int, addr netip.AddrPort) bool {
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
