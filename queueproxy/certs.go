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

// certsPeriod is how often the certificate's files are read. The kubelet takes a minute or more to update them.
const certsPeriod = 5 * time.Second

var errNoCertificate = errors.New("there is no usable certificate yet")

// certs holds the pod's certificate, which may change while the pod serves: each handshake uses the newest valid pair.
type certs struct {
	certFile, keyFile string
	period            time.Duration
	log               *zap.Logger

	current atomic.Pointer[tls.Certificate] // nil: none yet

	mu        sync.Mutex // one load at a time
	cert, key []byte     // the contents of the files of current
	logged    string     // the failure that was logged last
}

// mounted returns the files of a certificate in dir, or "" if there are none. TLS is on if there are, as in Knative's
// queue-proxy.
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

// load reads the files. If they are no valid pair, it keeps the certificate it has and logs each new failure once.
func (c *certs) load() {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert, err := os.ReadFile(c.certFile)
	key, keyErr := os.ReadFile(c.keyFile)
	if err = errors.Join(err, keyErr); err == nil {
		if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
			c.logged = ""
			return
		}
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(cert, key); err == nil {
			c.current.Store(&pair)
			c.cert, c.key, c.logged = cert, key, ""
			c.log.Info("serving TLS with a new certificate", zap.Time("notAfter", pair.Leaf.NotAfter))
			return
		}
		err = fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	if c.logged != err.Error() {
		c.logged = err.Error()
		c.log.Warn("the new certificate is not valid; the previous one, if any, stays in use", zap.Error(err),
			zap.Bool("served", c.current.Load() != nil))
	}
}

// watch reloads the files when one of them has changed, until ctx ends. While only one of them has been replaced they
// may be no valid pair.
func (c *certs) watch(ctx context.Context) {
	var both sync.WaitGroup
	for _, name := range []string{c.certFile, c.keyFile} {
		both.Go(func() { filewatch.Watch(ctx, name, c.period, func([]byte, error) { c.load() }) })
	}
	both.Wait()
}

// server returns a listener's configuration: settings, with the newest certificate at each handshake.
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

// missing reports whether TLS is on and no certificate has been valid yet. A nil certs means that TLS is off.
func (c *certs) missing() bool { return c != nil && c.current.Load() == nil }
