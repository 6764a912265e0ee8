//go:build unix && !linux

package proxy

import (
	"io"

	"golang.org/x/sys/unix"
)

// readSocket reads what there is on a socket that doesn't block; wait says that there is nothing. The end is io.EOF.
func readSocket(fd uintptr, p []byte) (n int, wait bool, err error) {
	for {
		n, err = unix.Read(int(fd), p)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, true, nil
		case err != nil:
			return 0, false, err
		case n == 0:
			return 0, false, io.EOF
		}
		return n, false, nil
	}
}

// writeSocket leaves everything to the connection.
func writeSocket(uintptr, []byte) int { return 0 }

const rawReads = true
