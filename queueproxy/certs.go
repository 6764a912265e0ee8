package queueproxy

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/filewatch"
	"github.com/sluice-proxy/sluice/internal/knative"
)

// certsPeriod is how often the certificate's files are looked at. The kubelet takes a minute or more to bring new ones.
const certsPeriod = 5 * time.Second

var errNoCertificate = errors.New("there is no usable certificate yet")

// certs is the pod's certificate, which changes while the pod serves: each handshake gets the newest that was usable.
type certs struct {
	certFile, keyFile string
	period            time.Duration
	log               *zap.Logger

	current atomic.Pointer[tls.Certificate] // nil: none yet

	mu        sync.Mutex // one load at a time
	cert, key []byte     // what current was made of
	told      string     // the failure that was logged last
}

// mounted returns the files of a certificate in dir, or "" when there aren't any: so Knative's queue-proxy decides that TLS
// is on.
func mounted(dir string) (certFile, keyFile string, err error) {
	for _, names := range [][2]string{{knative.CertFile, knative.KeyFile}, {knative.OldCertFile, knative.OldKeyFile}} {
		certFile, keyFile = filepath.Join(dir, names[0]), filepath.Join(dir, names[1])
		_, certErr := os.Stat(certFile)
		_, keyErr := os.Stat(keyFile)
		switch err := cmp.Or(certErr, keyErr); {
		case err == nil:
			return certFile, keyFile, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", "", err
		}
	}
	return "", "", nil
}

func newCerts(certFile, keyFile string, log *zap.Logger) *certs {
	return &certs{certFile: certFile, keyFile: keyFile, period: certsPeriod, log: log}
}

// load takes over what the files hold when it is a pair; else what was before stays, which is logged once.
func (c *certs) load() {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert, err := os.ReadFile(c.certFile)
	key, keyErr := os.ReadFile(c.keyFile)
	if err = errors.Join(err, keyErr); err == nil {
		if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
			c.told = ""
			return
		}
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(cert, key); err == nil {
			c.current.Store(&pair)
			c.cert, c.key, c.told = cert, key, ""
			c.log.Info("serving TLS with a new certificate", zap.Time("notAfter", pair.Leaf.NotAfter))
			return
		}
		err = fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	if c.told != err.Error() {
		c.told = err.Error()
		c.log.Warn("the certificate can't be used, the one before stays", zap.Error(err),
			zap.Bool("served", c.current.Load() != nil))
	}
}

// watch loads the files again when one of them has changed, until ctx ends. A file that is replaced by itself, and not
// together with the other, may make no pair for a moment.
func (c *certs) watch(ctx context.Context) {
	var both sync.WaitGroup
	for _, name := range []string{c.certFile, c.keyFile} {
		both.Go(func() { filewatch.Watch(ctx, name, c.period, func([]byte, error) { c.load() }) })
	}
	both.Wait()
}

// server is a listener's configuration: settings with the newest certificate at each handshake.
func (c *certs) server(settings *tls.Config) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS13}
	if settings != nil {
		t = settings.Clone()
	}
	t.NextProtos = []string{"h2", "http/1.1"}
	t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if pair := c.current.Load(); pair != nil {
			return pair, nil
		}
		return nil, errNoCertificate
	}
	return t
}

// missing reports whether TLS is served and there was no usable certificate yet. A nil certs is no TLS.
func (c *certs) missing() bool { return c != nil && c.current.Load() == nil }
