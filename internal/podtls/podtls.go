package podtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Knative's names (knative.dev/networking, pkg/certificates and pkg/config). Up to 1.11, with internal-encryption, all
// certificates are for ServerName; up to 1.8 the keys of Secrets have other names.
const (
	ServerName    = "data-plane.knative.dev" // SNI of requests to pods
	SecretName    = "routing-serving-certs"  // in the system namespace
	OldSecretName = "knative-serving-certs"  // the same up to 1.11

	userPrefix = "kn-user-"
)

// The keys of a Secret: the current names, then the older ones.
var (
	caKeys      = []string{"ca.crt", "ca-cert.pem"}
	certKeys    = []string{"tls.crt", "public-cert.pem"}
	privateKeys = []string{"tls.key", "private-key.pem"}
)

var errNoCertificate = errors.New("podtls: there is no certificate yet")

// Store has the newest valid certificate and roots. Make it with [New].
type Store struct {
	settings *tls.Config
	own      atomic.Pointer[tls.Certificate]
	clients  atomic.Pointer[clients]

	mu      sync.Mutex // guards the sources of the roots
	secret  string     // the Secret's name
	ca      []byte
	bundles [][]byte
}

// clients are the configurations that share one set of roots.
type clients struct {
	roots       *x509.CertPool
	older       bool     // pods present certificates for ServerName
	byNamespace sync.Map // string → *tls.Config
}

// New returns a Store without certificate and roots. settings has the TLS versions, cipher suites and curves; it is not
// changed.
func New(settings *tls.Config) *Store {
	return &Store{settings: settings.Clone(), secret: SecretName}
}

// SetSecret sets the data of the Secret of that name: a certificate, its key and optionally roots. With OldSecretName a
// pod's certificate has to be for ServerName, else for its namespace. SetSecret returns the errors of invalid parts,
// joined. Nil data means that the Secret does not exist.
func (k *Store) SetSecret(name string, data map[string][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	renamed := k.secret != name
	k.secret = name
	if data == nil {
		return fmt.Errorf("the Secret %s does not exist", name)
	}
	var errs []error
	certKey, cert := first(data, certKeys)
	privateKey, private := first(data, privateKeys)
	if pair, err := tls.X509KeyPair(cert, private); err != nil {
		errs = append(errs, fmt.Errorf("%s and %s of Secret %s are not a valid pair: %w", certKey, privateKey, name, err))
	} else {
		k.own.Store(&pair)
	}
	caKey, ca := first(data, caKeys)
	if len(ca) > 0 && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return errors.Join(append(errs, fmt.Errorf("%s of Secret %s contains no certificate", caKey, name))...)
	}
	if renamed || !bytes.Equal(ca, k.ca) {
		k.ca = bytes.Clone(ca)
		k.rootsLocked()
	}
	return errors.Join(errs...)
}

// first returns the first of keys that has a value, and the value.
func first(data map[string][]byte, keys []string) (key string, value []byte) {
	for _, key := range keys {
		if len(data[key]) > 0 {
			return key, data[key]
		}
	}
	return keys[0], nil
}

// SetTrustBundles sets the roots of all trust bundles. It skips those without a certificate and returns an error for them.
func (k *Store) SetTrustBundles(pems [][]byte) error {
	var good [][]byte
	for _, pem := range pems {
		if x509.NewCertPool().AppendCertsFromPEM(pem) {
			good = append(good, bytes.Clone(pem))
		}
	}
	slices.SortFunc(good, bytes.Compare)
	k.mu.Lock()
	if !slices.EqualFunc(good, k.bundles, bytes.Equal) {
		k.bundles = good
		k.rootsLocked()
	}
	k.mu.Unlock()
	if bad := len(pems) - len(good); bad > 0 {
		return fmt.Errorf("%d of %d trust bundles contain no certificate", bad, len(pems))
	}
	return nil
}

// rootsLocked starts a new set of client configurations, unless there is no root.
func (k *Store) rootsLocked() {
	roots := x509.NewCertPool()
	found := roots.AppendCertsFromPEM(k.ca)
	for _, pem := range k.bundles {
		found = roots.AppendCertsFromPEM(pem) || found
	}
	if found {
		k.clients.Store(&clients{roots: roots, older: k.secret == OldSecretName})
	}
}

// Missing describes what TLS still lacks; "" if nothing.
func (k *Store) Missing() string {
	k.mu.Lock()
	name := k.secret
	k.mu.Unlock()
	var missing []string
	if k.own.Load() == nil {
		missing = append(missing, certKeys[0]+" and "+privateKeys[0]+" in Secret "+name)
	}
	if k.clients.Load() == nil {
		missing = append(missing, caKeys[0]+" in Secret "+name+" or a trust bundle")
	}
	return strings.Join(missing, ", and ")
}

// Server returns the configuration of a listener. Each handshake uses the newest certificate.
func (k *Store) Server() *tls.Config {
	c := k.settings.Clone()
	c.NextProtos = []string{"h2", "http/1.1"}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if own := k.own.Load(); own != nil {
			return own, nil
		}
		return nil, errNoCertificate
	}
	return c
}

// Client returns the configuration of connections to the pods of a namespace: the same pointer until the roots change. It
// is never nil; without roots it accepts no pod.
func (k *Store) Client(namespace string) *tls.Config {
	all := k.clients.Load()
	if all == nil {
		return k.client(namespace, &clients{roots: x509.NewCertPool()})
	}
	if c, ok := all.byNamespace.Load(namespace); ok {
		return c.(*tls.Config)
	}
	c, _ := all.byNamespace.LoadOrStore(namespace, k.client(namespace, all))
	return c.(*tls.Config)
}

func (k *Store) client(namespace string, all *clients) *tls.Config {
	c := k.settings.Clone()
	c.ServerName, c.RootCAs = ServerName, all.roots
	// crypto/tls would check the certificate for ServerName, which is not the pod's name. verify does all other checks of
	// crypto/tls.
	c.InsecureSkipVerify = true
	want := userPrefix + strings.ToLower(namespace)
	if all.older {
		want = ServerName
	}
	c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s, all.roots, want) }
	return c
}

// verify accepts a chain that ends in roots and begins with a certificate for the name want.
func verify(s tls.ConnectionState, roots *x509.CertPool, want string) error {
	if len(s.PeerCertificates) == 0 {
		return &tls.CertificateVerificationError{Err: errors.New("the pod presents no certificate")}
	}
	leaf, rest := s.PeerCertificates[0], s.PeerCertificates[1:]
	between := x509.NewCertPool()
	for _, c := range rest {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err == nil && !slices.Contains(leaf.DNSNames, want) { // exact: a wildcard must not match a namespace
		err = fmt.Errorf("the pod's certificate is for %q, not for %q", leaf.DNSNames, want)
	}
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}
