//go:build unix

package proxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peek looks at what has been received and not read: its size at most 1, 0 at the end of the stream, -1 when there is
// nothing. It uses RawConn.Control, since a Read would wait for the reader that an idle connection has.
func peek(raw syscall.RawConn) (n int, err error) {
	var b [1]byte
	cerr := raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case cerr != nil:
		return 0, cerr
	case err == unix.EAGAIN, err == unix.EINTR:
		return -1, nil
	}
	return n, err
}
