//go:build !race && !386 && !s390x

package netio

import (
	"io"
	"syscall"
	"unsafe"
)

// The system calls below don't block, so that the scheduler need not be told of them: to a thread that is in a system
// call for more than 20 µs, which a write over loopback can be, it would find a successor. And its monitor, which sleeps
// when all threads do, would be woken by the next call that it is told of, to look for such threads every 20 µs: a
// twentieth of all CPU time, or of a slow trickle of requests a third. recvfrom and sendto, which two kinds of machines
// don't have, do less than read and write, which are for files too.

// Read reads what there is on a socket that doesn't block; wait says that there is nothing. The end is io.EOF.
func Read(fd uintptr, p []byte) (n int, wait bool, err error) {
	for {
		r, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
		switch {
		case e == syscall.EINTR:
			continue
		case e == syscall.EAGAIN:
			return 0, true, nil
		case e != 0:
			return 0, false, e
		case r == 0:
			return 0, false, io.EOF
		}
		return int(r), false, nil
	}
}

// Write writes what there is room for on a socket that doesn't block. What is wrong shows when the rest is written.
func Write(fd uintptr, p []byte) int {
	r, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if e != 0 {
		return 0
	}
	return int(r)
}

// PeekFD is Peek for a descriptor.
func PeekFD(fd uintptr, p []byte) (n int, err error) {
	r, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	switch e {
	case 0:
		return int(r), nil
	case syscall.EAGAIN, syscall.EINTR:
		return -1, nil
	}
	return 0, e
}

// Reads says that Read, Write and PeekFD are there for sockets.
const Reads = true
