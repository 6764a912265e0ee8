//go:build unix

package netio

import "syscall"

// Peek looks at what has been received and not read, with one byte of room: its size at most 1, 0 at the end of the stream, -1 when there is
// nothing. It uses RawConn.Control, since a Read would wait for the reader that an idle connection has.
func Peek(raw syscall.RawConn, b []byte) (n int, err error) {
	cerr := raw.Control(func(fd uintptr) { n, err = PeekFD(fd, b) })
	if cerr != nil {
		return 0, cerr
	}
	return n, err
}
