//go:build !linux && !darwin

package queueproxy

import (
	"context"
	"errors"
	"net/netip"
)

// untilKnocked has no cheap way here: connections are dialled instead, and readiness is noticed later.
func untilKnocked(context.Context, netip.AddrPort) (bool, error) { return false, errors.ErrUnsupported }
