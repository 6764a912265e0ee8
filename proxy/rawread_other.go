//go:build !unix

package proxy

import "errors"

// readSocket is not used where rawReads is false.
func readSocket(uintptr, []byte) (n int, wait bool, err error) {
	return 0, false, errors.ErrUnsupported
}

const rawReads = false
