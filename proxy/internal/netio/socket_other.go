//go:build !unix

package netio

import "errors"

// Read is not used where Reads is false.
func Read(uintptr, []byte) (n int, wait bool, err error) {
	return 0, false, errors.ErrUnsupported
}

// Write leaves everything to the connection.
func Write(uintptr, []byte) int { return 0 }

// Reads says that Read, Write and PeekFD are there for sockets.
const Reads = false
