//go:build !unix

package proxy

import "syscall"

// peek can't look here: an idle connection that its upstream has closed is found out when it is used, unless its reader has
// seen the end before.
func peek(syscall.RawConn, []byte) (int, error) { return -1, nil }

// peekSocket is not called: no connection has a descriptor here.
func peekSocket(uintptr, []byte) (n int, err error) { return -1, nil }
