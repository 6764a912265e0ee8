//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package proxy

import (
	"errors"
	"syscall"
)

// poller is missing here: a client that goes while its request waits with an unread body is found out only when its
// turn comes, or its timeout. Config.OnUnwatched is told.
type poller struct{}

func newPoller(*watch) (*poller, error)                       { return nil, errors.ErrUnsupported }
func (*poller) run()                                          {}
func (*poller) addLocked(syscall.RawConn, uint64, bool) error { return errors.ErrUnsupported }
func (*poller) removeLocked(syscall.RawConn)                  {}
func (*poller) close()                                        {}
