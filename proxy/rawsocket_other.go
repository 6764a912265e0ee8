//go:build !unix

package proxy

import "errors"

// readSocket is not used where rawReads is false.
func readSocket(uintptr, []byte) (n int, wait bool, err error) {
	return 0, false, errors.ErrUnsupported
}

// writeSocket leaves everything to the connection.
func writeSocket(uintptr, []byte) int { return 0 }

const rawReads = false
