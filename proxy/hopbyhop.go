package proxy

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// connectionFields are those of one connection only, besides those that Connection names (RFC 9110 §7.6.1), and
// HTTP2-Settings, which belongs to the Upgrade of h2c (RFC 7540 §3.2.1). Proxy-Authorization and Proxy-Authenticate are
// for a proxy that the client has chosen; we are a gateway, to which they mean nothing, so they pass (RFC 9110 §11.7).
var connectionFields = [...]string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// stripped is what removeHopByHop found worth knowing.
type stripped struct {
	upgrade  string // the protocol asked or agreed to; not h2c
	trailers bool   // TE: trailers
}

// removeHopByHop removes the fields that end at this connection; those of keep stay whatever Connection says.
func removeHopByHop(h http.Header, keep []string) stripped {
	var s stripped
	upgrading := false
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			option = textproto.TrimString(option)
			if strings.EqualFold(option, "upgrade") {
				upgrading = true
			}
			if name := http.CanonicalHeaderKey(option); name != "Te" && name != "Upgrade" && !slices.Contains(keep, name) {
				delete(h, name)
			}
		}
	}
	if upgrading && len(h["Upgrade"]) > 0 {
		s.upgrade = upgradeTo(h["Upgrade"])
	}
	for _, line := range h["Te"] {
		s.trailers = s.trailers || hasToken(line, "trailers")
	}
	for _, name := range connectionFields {
		delete(h, name)
	}
	return s
}

// upgradeTo is the value of an Upgrade field; empty when it offers h2c, which is deprecated (RFC 9113 §3.1) and would
// change the protocol behind the proxy's back.
func upgradeTo(lines []string) string {
	all := strings.Join(lines, ", ")
	for p := range strings.SplitSeq(all, ",") {
		name, _, _ := strings.Cut(textproto.TrimString(p), "/")
		if strings.EqualFold(name, "h2c") || strings.EqualFold(name, "h2") {
			return ""
		}
	}
	return textproto.TrimString(all)
}

// hasToken finds a token in a comma-separated list, whatever its case and parameters.
func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		name, _, _ := strings.Cut(item, ";")
		if strings.EqualFold(textproto.TrimString(name), token) {
			return true
		}
	}
	return false
}
