package knative

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
)

func TestTLSFromEnv(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		want *tls.Config
	}{
		{"nothing", nil, &tls.Config{MinVersion: tls.VersionTLS13}},
		{"empty", map[string]string{"X_TLS_MIN_VERSION": "", "X_TLS_CIPHER_SUITES": "", "X_TLS_CURVE_PREFERENCES": ""}, &tls.Config{MinVersion: tls.VersionTLS13}},
		{"of another", map[string]string{"Y_TLS_MIN_VERSION": "1.2"}, &tls.Config{MinVersion: tls.VersionTLS13}},
		{"lower", map[string]string{"X_TLS_MIN_VERSION": "1.2"}, &tls.Config{MinVersion: tls.VersionTLS12}},
		{"both", map[string]string{"X_TLS_MIN_VERSION": "1.2", "X_TLS_MAX_VERSION": "1.3"}, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}},
		{"only a highest", map[string]string{"X_TLS_MAX_VERSION": "1.2"}, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}},
		{"suites", map[string]string{"X_TLS_CIPHER_SUITES": " TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,, TLS_AES_128_GCM_SHA256"}, &tls.Config{MinVersion: tls.VersionTLS13, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_AES_128_GCM_SHA256}}},
		{"curves", map[string]string{"X_TLS_CURVE_PREFERENCES": "X25519MLKEM768,X25519, CurveP256,P-384"}, &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := TLSFromEnv("X_", func(name string) (string, bool) { v, ok := test.env[name]; return v, ok })
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestTLSFromEnvRefuses(t *testing.T) {
	for name, values := range map[string][]string{
		"TLS_MIN_VERSION":       {"1.1", "TLS13", "1.3 ", strings.Repeat("9", 100)},
		"TLS_MAX_VERSION":       {"2"},
		"TLS_CIPHER_SUITES":     {"ROT13", "TLS_AES_128_GCM_SHA256,ROT13"},
		"TLS_CURVE_PREFERENCES": {"X25519,flat"},
	} {
		for _, value := range values {
			_, err := TLSFromEnv(PrefixActivator, func(n string) (string, bool) {
				if n == PrefixActivator+name {
					return value, true
				}
				return "", false
			})
			if err == nil {
				t.Errorf("%s=%s was accepted", name, value)
				continue
			}
			if text := err.Error(); !strings.HasPrefix(text, PrefixActivator+name+" is ") || len(text) > 150 || strings.Contains(text, "\n") {
				t.Errorf("%s=%s: %s", name, value, text)
			}
		}
	}
	_, err := TLSFromEnv("X_", func(n string) (string, bool) {
		return map[string]string{"X_TLS_MIN_VERSION": "1.3", "X_TLS_MAX_VERSION": "1.2", "X_TLS_CIPHER_SUITES": "x"}[n], true
	})
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not two lines: %v", err)
	}
}
