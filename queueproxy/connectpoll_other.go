//go:build !linux && !darwin

package queueproxy

import (
	"context"
	"errors"
	"net/netip"
)

// pollConnect is not implemented for this system: the caller dials instead, and notices readiness later.
func pollConnect(context.Context, netip.AddrPort) (bool, error) { return false, errors.ErrUnsupported }
