//go:build !linux

package queueproxy

import "net/netip"

// listening is not implemented for this system.
func listening() []netip.AddrPort { return nil }
