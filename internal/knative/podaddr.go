package knative

import "net/netip"

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// IsPodAddr reports whether addr can be a pod's, seen from another: it is none that means the machine itself, its link or
// a group (RFC 6890), which Kubernetes takes for no endpoint either. A link's is that of cloud providers' metadata.
func IsPodAddr(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsValid() && addr.Zone() == "" && addr != broadcast &&
		!addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !addr.IsMulticast()
}
