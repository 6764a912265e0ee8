//go:build unix && (race || !linux || 386 || s390x)

package netio

import (
	"io"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// For the race detector a read of what has been written comes after what was done before the write, if both go through
// package syscall: so tests of programs that talk to themselves by way of an Engine see no races that there are not.

// Read reads what there is on a socket that doesn't block; wait says that there is nothing. The end is io.EOF.
func Read(fd uintptr, p []byte) (n int, wait bool, err error) {
	for {
		n, err = syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return 0, true, nil
		case err != nil:
			return 0, false, err
		case n == 0:
			return 0, false, io.EOF
		}
		return n, false, nil
	}
}

// Write writes what there is room for on Linux, and elsewhere leaves everything to the connection.
func Write(fd uintptr, p []byte) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	n, err := syscall.Write(int(fd), p)
	if err != nil {
		return 0
	}
	return n
}

// PeekFD is Peek for a descriptor, with one byte of room. Mostly there is nothing, which poll tells without an
// allocation.
func PeekFD(fd uintptr, b []byte) (n int, err error) {
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

// Reads says that Read, Write and PeekFD are there for sockets.
const Reads = true
