package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/activator"
)

// Keys of config-network that are the activator's (contract).
const (
	keySystemTLS   = "system-internal-tls"
	keyOldTLS      = "internal-encryption"
	keyPassthrough = "enable-mesh-pod-addressability"
	keyMeshMode    = "mesh-compatibility-mode"
)

// network has the settings of config-network. Its zero value has the defaults.
type network struct {
	tls, passthrough bool
	older            bool // internal-encryption has turned TLS on
	mesh             activator.MeshMode
}

func (n network) String() string {
	mode := map[activator.MeshMode]string{activator.MeshEnabled: "enabled", activator.MeshDisabled: "disabled"}[n.mesh]
	return fmt.Sprintf("%s: %t, %s: %s, %s: %t", n.tlsKey(), n.tls, keyMeshMode, cmp.Or(mode, "auto"), keyPassthrough, n.passthrough)
}

// tlsKey is the key that turns TLS on.
func (n network) tlsKey() string {
	if n.older {
		return keyOldTLS
	}
	return keySystemTLS
}

// parseNetwork reads the ConfigMap as Knative does: it ignores case, and takes an unknown mesh mode for auto.
func parseNetwork(data map[string]string) (network, error) {
	var n network
	var err error
	if n.passthrough, err = parseBool(data, keyPassthrough); err != nil {
		return n, err
	}
	older, err := parseBool(data, keyOldTLS)
	if err != nil {
		return n, err
	}
	switch v := data[keySystemTLS]; strings.ToLower(v) {
	case "enabled":
		n.tls = true
	case "", "disabled":
		n.tls, n.older = older, older // so that the older key counts even beside an explicit "disabled", as in Knative
	default:
		return n, fmt.Errorf("%s: %s is %q, expected enabled or disabled", networkMap, keySystemTLS, v)
	}
	switch strings.ToLower(data[keyMeshMode]) {
	case "enabled":
		n.mesh = activator.MeshEnabled
	case "disabled":
		n.mesh = activator.MeshDisabled
	}
	return n, nil
}

func parseBool(data map[string]string, key string) (bool, error) {
	v, ok := data[key]
	if !ok {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%s: %s is %q, expected true or false", networkMap, key, v)
	}
	return b, nil
}
