//go:build !unix

package netio

import "syscall"

// Peek can't look here: an idle connection that its upstream has closed is found out when it is used, unless its reader has
// seen the end before.
func Peek(syscall.RawConn, []byte) (int, error) { return -1, nil }

// PeekFD is not called: no connection has a descriptor here.
func PeekFD(uintptr, []byte) (n int, err error) { return -1, nil }
