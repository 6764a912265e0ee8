package knative

import (
	"net/netip"
	"testing"
)

func TestC10SpecialAddressesAreNoPods(t *testing.T) {
	for s, want := range map[string]bool{
		"10.0.0.1": true, "100.64.0.1": true, "192.168.1.1": true, "203.0.113.9": true, "fd00::1": true, "2001:db8::1": true,
		"::ffff:10.0.0.1": true,
		"127.0.0.1":       false, "127.8.8.8": false, "::1": false, "::ffff:127.0.0.1": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "::ffff:169.254.169.254": false,
		"224.0.0.1": false, "239.1.2.3": false, "ff02::1": false, "ff05::1": false,
		"0.0.0.0": false, "::": false, "255.255.255.255": false,
	} {
		if got := IsPodAddr(netip.MustParseAddr(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
	if IsPodAddr(netip.Addr{}) {
		t.Error("no address is one")
	}
}
