package knative

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// Variables of TLS, after the prefix of their component: "QUEUE_PROXY_" or "ACTIVATOR_".
const (
	PrefixQueueProxy = "QUEUE_PROXY_"
	PrefixActivator  = "ACTIVATOR_"

	envTLSMinVersion       = "TLS_MIN_VERSION"
	envTLSMaxVersion       = "TLS_MAX_VERSION"
	envTLSCipherSuites     = "TLS_CIPHER_SUITES"
	envTLSCurvePreferences = "TLS_CURVE_PREFERENCES"
)

// TLSFromEnv reads an administrator's settings of TLS: the variables <prefix>TLS_MIN_VERSION and _MAX_VERSION (1.2 or
// 1.3), _CIPHER_SUITES and _CURVE_PREFERENCES (comma-separated names). lookup works like os.LookupEnv; an empty value
// means not set. The defaults are TLS 1.3 and Go's choice of the rest. The configuration has no certificate. The error has
// one line for each invalid variable, with its name, its value and what was expected.
func TLSFromEnv(prefix string, lookup func(string) (string, bool)) (*tls.Config, error) {
	e := tlsEnv{prefix: prefix, lookup: lookup}
	c := &tls.Config{
		MinVersion:       e.version(envTLSMinVersion),
		MaxVersion:       e.version(envTLSMaxVersion),
		CipherSuites:     namesFrom(&e, envTLSCipherSuites, "cipher suites", cipherSuites()),
		CurvePreferences: namesFrom(&e, envTLSCurvePreferences, "curves such as X25519", curves()),
	}
	switch {
	case c.MinVersion == 0 && c.MaxVersion != 0:
		c.MinVersion = c.MaxVersion
	case c.MinVersion == 0:
		c.MinVersion = tls.VersionTLS13
	case c.MaxVersion != 0 && c.MinVersion > c.MaxVersion:
		e.bad = append(e.bad, fmt.Errorf("%s is above %s", prefix+envTLSMinVersion, prefix+envTLSMaxVersion))
	}
	if err := errors.Join(e.bad...); err != nil {
		return nil, err
	}
	return c, nil
}

type tlsEnv struct {
	prefix string
	lookup func(string) (string, bool)
	bad    []error
}

func (e *tlsEnv) fail(name, value, want string) {
	if len(value) > 40 {
		value = value[:40] + "…"
	}
	e.bad = append(e.bad, fmt.Errorf("%s is %q, expected %s", e.prefix+name, value, want))
}

func (e *tlsEnv) version(name string) uint16 {
	switch v, _ := e.lookup(e.prefix + name); v {
	case "":
	case "1.2":
		return tls.VersionTLS12
	case "1.3":
		return tls.VersionTLS13
	default:
		e.fail(name, v, "1.2 or 1.3")
	}
	return 0
}

// namesFrom reads a list of known names; it skips empty ones.
func namesFrom[T any](e *tlsEnv, name, what string, known map[string]T) (all []T) {
	value, _ := e.lookup(e.prefix + name)
	for n := range strings.SplitSeq(value, ",") {
		if n = strings.TrimSpace(n); n == "" {
			continue
		}
		t, ok := known[n]
		if !ok {
			e.fail(name, value, "a comma-separated list of "+what)
			return nil
		}
		all = append(all, t)
	}
	return all
}

func cipherSuites() map[string]uint16 {
	known := make(map[string]uint16)
	for _, s := range tls.CipherSuites() {
		known[s.Name] = s.ID
	}
	for _, s := range tls.InsecureCipherSuites() { // the administrator decides
		known[s.Name] = s.ID
	}
	return known
}

// curves has each curve under its names in Go, in the standard (as in Knative) and in crypto/tls.
func curves() map[string]tls.CurveID {
	known := map[string]tls.CurveID{
		"P256": tls.CurveP256, "P384": tls.CurveP384, "P521": tls.CurveP521,
		"P-256": tls.CurveP256, "P-384": tls.CurveP384, "P-521": tls.CurveP521,
	}
	for _, c := range []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521, tls.X25519, tls.X25519MLKEM768} {
		known[c.String()] = c
	}
	return known
}
