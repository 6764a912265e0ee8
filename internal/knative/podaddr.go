package knative

import "net/netip"

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// IsPodAddr reports whether addr can be the address of another pod. Loopback, link-local (which cloud providers' metadata
// servers use), multicast, broadcast and unspecified addresses (RFC 6890) can't; Kubernetes rejects them as endpoints, too.
func IsPodAddr(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsValid() && addr.Zone() == "" && addr != broadcast &&
		!addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !addr.IsMulticast()
}
