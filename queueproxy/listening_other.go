//go:build !linux

package queueproxy

import "net/netip"

// listening is not known here.
func listening() []netip.AddrPort { return nil }
