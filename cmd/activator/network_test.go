package main

import (
	"testing"

	"github.com/sluice-proxy/sluice/activator"
)

func TestParseNetwork(t *testing.T) {
	type m = map[string]string
	for _, c := range []struct {
		data m
		want network
		err  string
	}{
		{nil, network{}, ""},
		{m{"ingress-class": "x", "_example": "system-internal-tls: enabled"}, network{}, ""},
		{m{"system-internal-tls": "enabled"}, network{tls: true}, ""},
		{m{"system-internal-tls": "Enabled", "internal-encryption": "false"}, network{tls: true}, ""},
		{m{"system-internal-tls": "Disabled"}, network{}, ""},
		{m{"system-internal-tls": ""}, network{}, ""},
		{m{"internal-encryption": "true"}, network{tls: true, older: true}, ""},
		{m{"internal-encryption": "true", "system-internal-tls": "disabled"}, network{tls: true, older: true}, ""},
		{m{"enable-mesh-pod-addressability": "true"}, network{passthrough: true}, ""},
		{m{"mesh-compatibility-mode": "Enabled"}, network{mesh: activator.MeshEnabled}, ""},
		{m{"mesh-compatibility-mode": "disabled"}, network{mesh: activator.MeshDisabled}, ""},
		{m{"mesh-compatibility-mode": "auto"}, network{mesh: activator.MeshAuto}, ""},
		{m{"mesh-compatibility-mode": "what"}, network{mesh: activator.MeshAuto}, ""},
		{m{"system-internal-tls": "on"}, network{}, `config-network: system-internal-tls is "on", expected enabled or disabled`},
		{m{"internal-encryption": ""}, network{}, `config-network: internal-encryption is "", expected true or false`},
		{m{"enable-mesh-pod-addressability": "x"}, network{}, `config-network: enable-mesh-pod-addressability is "x", expected true or false`},
	} {
		got, err := parseNetwork(c.data)
		if err != nil && err.Error() != c.err || err == nil && c.err != "" || err == nil && got != c.want {
			t.Errorf("%v: %+v, %v", c.data, got, err)
		}
	}
}
