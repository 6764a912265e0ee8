package queueproxy

import (
	"net/netip"
	"time"
)

// knockStep is the pause between two looks at the app's port. With it listen() is noticed within 2 ms; the cost, one
// wake-up and two system calls a step, is what BenchmarkReadinessPolling measures.
const knockStep = 1500 * time.Microsecond

// loopback parses addr if it is an IP address of this machine's loopback, where a refused connection is known at once.
func loopback(addr string) (netip.AddrPort, bool) {
	ap, err := netip.ParseAddrPort(addr)
	return ap, err == nil && ap.Addr().IsLoopback() && ap.Addr().Zone() == ""
}
