package proxy

import (
	"fmt"
	"net"
	"syscall"
	"testing"
)

// What ends a connection is no fault of the answer's, with package net's wrapping and without.
func TestUpstreamErrorOfABrokenConnection(t *testing.T) {
	for _, e := range []error{syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT, syscall.EHOSTUNREACH} {
		for _, err := range []error{e, fmt.Errorf("while reading: %w", e), &net.OpError{Op: "read", Err: e}} {
			if got := upstreamError(err, nil); got.Reason != UpstreamClosed {
				t.Errorf("%v is %v", err, got.Reason)
			}
		}
	}
}
