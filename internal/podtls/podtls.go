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

// Names of Knative's (knative.dev/networking, pkg/certificates).
const (
	ServerName = "data-plane.knative.dev" // SNI of requests to pods
	SecretName = "routing-serving-certs"  // in the system namespace

	caKey, certKey, privateKey = "ca.crt", "tls.crt", "tls.key"
	userPrefix                 = "kn-user-"
)

var errNoCertificate = errors.New("podtls: there is no certificate yet")

// Keeper holds the newest usable certificate and roots. Make it with [New].
type Keeper struct {
	settings *tls.Config
	own      atomic.Pointer[tls.Certificate]
	clients  atomic.Pointer[clients]

	mu      sync.Mutex // guards what roots were made of
	ca      []byte
	bundles [][]byte
}

// clients are the configurations that share one set of roots.
type clients struct {
	roots       *x509.CertPool
	byNamespace sync.Map // string → *tls.Config
}

// New makes a Keeper without certificate and roots. Settings has the versions, cipher suites and curves of both sides;
// it is not changed.
func New(settings *tls.Config) *Keeper { return &Keeper{settings: settings.Clone()} }

// SetSecret takes over the data of the Secret: tls.crt and tls.key, and the roots in ca.crt, which may be missing. It
// returns, joined, what of it can't be used. Nil is a Secret that does not exist.
func (k *Keeper) SetSecret(data map[string][]byte) error {
	if data == nil {
		return fmt.Errorf("there is no Secret %s", SecretName)
	}
	var errs []error
	if pair, err := tls.X509KeyPair(data[certKey], data[privateKey]); err != nil {
		errs = append(errs, fmt.Errorf("%s and %s of Secret %s are no pair: %w", certKey, privateKey, SecretName, err))
	} else {
		k.own.Store(&pair)
	}
	ca := data[caKey]
	if len(ca) > 0 && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return errors.Join(append(errs, fmt.Errorf("%s of Secret %s has no certificate", caKey, SecretName))...)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !bytes.Equal(ca, k.ca) {
		k.ca = bytes.Clone(ca)
		k.rootsLocked()
	}
	return errors.Join(errs...)
}

// SetTrustBundles takes over all ConfigMaps with roots. It leaves out those without a certificate, and says so.
func (k *Keeper) SetTrustBundles(pems [][]byte) error {
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
		return fmt.Errorf("%d of %d trust bundles have no certificate", bad, len(pems))
	}
	return nil
}

// rootsLocked begins a new set of clients. Without any root there is none: nobody would be accepted.
func (k *Keeper) rootsLocked() {
	roots := x509.NewCertPool()
	found := roots.AppendCertsFromPEM(k.ca)
	for _, pem := range k.bundles {
		found = roots.AppendCertsFromPEM(pem) || found
	}
	if found {
		k.clients.Store(&clients{roots: roots})
	}
}

// Missing says what there is not yet, or "": TLS works.
func (k *Keeper) Missing() string {
	var missing []string
	if k.own.Load() == nil {
		missing = append(missing, certKey+" and "+privateKey+" in Secret "+SecretName)
	}
	if k.clients.Load() == nil {
		missing = append(missing, caKey+" in Secret "+SecretName+" or a trust bundle")
	}
	return strings.Join(missing, ", and ")
}

// Server is the configuration of a listener, for as long as that lives: each handshake gets the newest certificate.
func (k *Keeper) Server() *tls.Config {
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

// Client is the configuration of connections to the pods of a namespace: the same pointer until the roots change. It
// is never nil; before there are roots it accepts nobody.
func (k *Keeper) Client(namespace string) *tls.Config {
	all := k.clients.Load()
	if all == nil {
		return k.client(namespace, x509.NewCertPool())
	}
	if c, ok := all.byNamespace.Load(namespace); ok {
		return c.(*tls.Config)
	}
	c, _ := all.byNamespace.LoadOrStore(namespace, k.client(namespace, all.roots))
	return c.(*tls.Config)
}

func (k *Keeper) client(namespace string, roots *x509.CertPool) *tls.Config {
	c := k.settings.Clone()
	c.ServerName, c.RootCAs = ServerName, roots
	// crypto/tls would hold the certificate against ServerName, which is not what the pod has to prove. Verify does
	// everything else that it would do.
	c.InsecureSkipVerify = true
	want := userPrefix + strings.ToLower(namespace)
	c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s, roots, want) }
	return c
}

// verify accepts a chain that ends in roots and begins with a certificate for the name want.
func verify(s tls.ConnectionState, roots *x509.CertPool, want string) error {
	if len(s.PeerCertificates) == 0 {
		return &tls.CertificateVerificationError{Err: errors.New("the pod shows no certificate")}
	}
	leaf, rest := s.PeerCertificates[0], s.PeerCertificates[1:]
	between := x509.NewCertPool()
	for _, c := range rest {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err == nil && !slices.Contains(leaf.DNSNames, want) { // exactly: no wildcard stands for a namespace
		err = fmt.Errorf("the pod's certificate is for %q, not for %q", leaf.DNSNames, want)
	}
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}
