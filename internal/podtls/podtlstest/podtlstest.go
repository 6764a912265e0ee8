// Package podtlstest makes certificates for tests, in memory and within a millisecond.
//
//	NewCA ──► CA.Issue ──► PEM ──► CA.Secret, CA.Mount: as a Secret, as one that is mounted
//
// # Concurrency
//
// A [CA] does not change after [NewCA]; its methods may be called concurrently.
package podtlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA issues certificates.
type CA struct {
	PEM []byte // its own certificate

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an issuer that signs itself.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	ca := &CA{key: newKey(tb)}
	ca.cert = template("test root")
	ca.cert.IsCA, ca.cert.BasicConstraintsValid = true, true
	ca.cert.KeyUsage = x509.KeyUsageCertSign
	der := sign(tb, ca.cert, ca.cert, ca.key, ca.key)
	ca.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return ca
}

// Issue makes a server's certificate for DNS names.
func (ca *CA) Issue(tb testing.TB, names ...string) (cert, key []byte) {
	tb.Helper()
	t := template("test leaf")
	t.DNSNames = names
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	k := newKey(tb)
	der := sign(tb, t, ca.cert, k, ca.key)
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// Secret is the data of a Secret with a certificate of ca for names, and ca as its roots.
func (ca *CA) Secret(tb testing.TB, names ...string) map[string][]byte {
	tb.Helper()
	cert, key := ca.Issue(tb, names...)
	return map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": ca.PEM}
}

// Mount makes a certificate for names, in a directory as a Secret is mounted.
func (ca *CA) Mount(tb testing.TB, names ...string) (dir string) {
	tb.Helper()
	dir = tb.TempDir()
	for file, pem := range ca.Secret(tb, names...) {
		if err := os.WriteFile(filepath.Join(dir, file), pem, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

func sign(tb testing.TB, cert, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}
