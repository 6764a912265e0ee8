package queueproxy

import (
	"crypto/tls"
	"strings"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// checkTLS refuses TLS variables that can't be meant, so that a mistake shows now and not when TLS is turned on.
func checkTLS(e *env) {
	optional(e, knative.EnvQueueServingTLSPort, wantPort, parsePort)
	lowest := optional(e, knative.EnvTLSMinVersion, "1.2 or 1.3", parseTLSVersion)
	highest := optional(e, knative.EnvTLSMaxVersion, "1.2 or 1.3", parseTLSVersion)
	if highest != 0 && lowest > highest {
		e.fail("%s is above %s", knative.EnvTLSMinVersion, knative.EnvTLSMaxVersion)
	}
	optional(e, knative.EnvTLSCipherSuites, "a comma-separated list of cipher suites", eachOf(cipherSuites()))
	optional(e, knative.EnvTLSCurvePreferences, "a comma-separated list of curves such as X25519", eachOf(curves()))
}

func parseTLSVersion(v string) (uint16, error) {
	switch v {
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, errRange
}

// eachOf parses a list of known names.
func eachOf(known map[string]bool) func(string) (struct{}, error) {
	return func(v string) (none struct{}, err error) {
		for name := range strings.SplitSeq(v, ",") {
			if !known[strings.TrimSpace(name)] {
				return none, errRange
			}
		}
		return none, nil
	}
}

func cipherSuites() map[string]bool {
	known := make(map[string]bool)
	for _, s := range tls.CipherSuites() {
		known[s.Name] = true
	}
	for _, s := range tls.InsecureCipherSuites() { // an administrator's choice, not ours
		known[s.Name] = true
	}
	return known
}

func curves() map[string]bool {
	known := map[string]bool{"P256": true, "P384": true, "P521": true} // names that Knative takes besides Go's
	for _, c := range []tls.CurveID{
		tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519, tls.X25519MLKEM768,
	} {
		known[c.String()] = true
	}
	return known
}
