//go:build !linux

package netio

import (
	"errors"
	"syscall"
)

// Splice is for Linux alone.
type Splice struct{}

// NewSplice makes none here.
func NewSplice(*Pipes, Source, syscall.RawConn, syscall.RawConn) *Splice { return nil }

// Take leaves everything to copies.
func (*Splice) Take(int64) (n int, err error) { return 0, nil }

// Give is not called, since Take has taken nothing.
func (*Splice) Give() (n int, err error) { return 0, errors.ErrUnsupported }

// Pipes are for splices.
type Pipes struct{}

// Close does nothing.
func (*Pipes) Close() {}
