//go:build unix

package proxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peek looks at what has been received and not read, with one byte of room: its size at most 1, 0 at the end of the stream, -1 when there is
// nothing. It uses RawConn.Control, since a Read would wait for the reader that an idle connection has.
func peek(raw syscall.RawConn, b []byte) (n int, err error) {
	cerr := raw.Control(func(fd uintptr) { n, err = peekSocket(fd, b) })
	if cerr != nil {
		return 0, cerr
	}
	return n, err
}

// peekSocket is peek for a descriptor, with one byte of room. Mostly there is nothing, which poll tells without an
// allocation.
func peekSocket(fd uintptr, b []byte) (n int, err error) {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds[:], 0); n == 0 && err == nil {
		return -1, nil
	}
	n, _, err = unix.Recvfrom(int(fd), b, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err == unix.EAGAIN || err == unix.EINTR {
		return -1, nil
	}
	return n, err
}
