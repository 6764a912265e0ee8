package kubeapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// How long a certificate is valid: longer than a quickstart runs, and from before its start, for clocks that are set back.
const (
	validFor    = 365 * 24 * time.Hour
	validBefore = time.Hour
)

// newCertificate returns a certificate for []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, and the PEM of the authority that signed it. The authority's key is not
// kept, so that it signs nothing else.
func newCertificate(now time.Time) (certificate tls.Certificate, authority []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the certificate of the API: %w", err)
		}
	}()
	keys := [2]*ecdsa.PrivateKey{} // the authority's and the server's
	for i := range keys {
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return tls.Certificate{}, nil, err
		}
	}
	parent := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "sluice quickstart authority"},
		NotBefore:             now.Add(-validBefore),
		NotAfter:              now.Add(validFor),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	root, err := x509.CreateCertificate(rand.Reader, parent, parent, keys[0].Public(), keys[0])
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano() + 1),
		Subject:               pkix.Name{CommonName: "sluice quickstart"},
		NotBefore:             parent.NotBefore,
		NotAfter:              parent.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}, parent, keys[1].Public(), keys[0])
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: keys[1]}, authority, nil
}
