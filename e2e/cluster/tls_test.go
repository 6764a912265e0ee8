package cluster_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc/interop/grpc_testing"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	routingSecret = "routing-serving-certs" // the activators', in Knative's namespace
	userSecret    = "serving-certs"         // the queue-proxies', in each namespace
	bundle        = "sluice-e2e-roots"      // ConfigMap with an additional trusted root
)

var tlsCases = []testCase{
	{name: "system-internal-tls: HTTP/1.1 and gRPC from zero", long: true, run: tlsFromZero},
	{name: "system-internal-tls: another namespace's certificate is refused", long: true, run: tlsWrongName},
	{name: "system-internal-tls: roots and certificates rotated under load", needs: both, long: true, run: tlsRotation},
}

// enableTLS creates the certificates and settings for TLS, and restarts the activator, as Knative's requires.
func enableTLS(ctx context.Context, w *world) error {
	_, err := w.CoreV1().Secrets(system).Get(ctx, routingSecret, metav1.GetOptions{})
	if err == nil {
		return fmt.Errorf("%w: the cluster already has a Secret %s", errSkip, routingSecret)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	if w.roots, err = newAuthority("first"); err != nil {
		return err
	}
	if err := w.makeNamespace(ctx, w.other()); err != nil {
		return err
	}
	if err := w.certify(ctx, w.roots, nil); err != nil {
		return err
	}
	if err := w.configure(ctx, "config-network", map[string]string{"system-internal-tls": "Enabled"}); err != nil {
		return err
	}
	if err := w.restartActivator(ctx); err != nil {
		return err
	}
	return w.awaitCertificates(ctx)
}

// awaitCertificates waits until Knative's controller gives pods their certificates: after an outage of the API server it may
// notice changes late.
func (w *world) awaitCertificates(ctx context.Context) error {
	r, err := w.deploy(ctx, service{name: "certified"})
	if err != nil {
		return err
	}
	return eventually(ctx, time.Minute, "certificates given to pods", func() error {
		d, err := w.AppsV1().Deployments(r.namespace).Get(ctx, r.name+"-deployment", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(v corev1.Volume) bool {
			return v.Secret != nil && v.Secret.SecretName == userSecret
		}) {
			return fmt.Errorf("%s has no volume of Secret %s", d.Name, userSecret)
		}
		return nil
	})
}

// other is a namespace whose pods have a certificate for yet another one.
func (w *world) other() string { return w.namespace + "-other" }

// certify gives new certificates, by a, to the activators and to both namespaces.
func (w *world) certify(ctx context.Context, a, first *authority) error {
	for _, s := range []struct{ namespace, secret, name string }{
		{system, routingSecret, routingName}, {w.namespace, userSecret, userName(w.namespace)}, {w.other(), userSecret, userName("elsewhere")},
	} {
		data, err := a.secret(s.name, first)
		if err == nil {
			err = w.putSecret(ctx, s.namespace, s.secret, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func disableTLS(ctx context.Context, w *world) error {
	return errors.Join(
		w.configure(ctx, "config-network", map[string]string{"system-internal-tls": "Disabled"}),
		w.deleteNamespace(ctx, w.other()),
		gone(w.CoreV1().ConfigMaps(system).Delete(ctx, bundle, metav1.DeleteOptions{})),
		w.restartActivator(ctx),
		gone(w.CoreV1().Secrets(system).Delete(ctx, routingSecret, metav1.DeleteOptions{})),
	)
}

// secure is a client of the revision's public Service over TLS, like an ingress.
func (r *revision) secure(roots *x509.CertPool) *http.Client {
	t := r.transport()
	t.DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: legacyName, MinVersion: tls.VersionTLS13}}
		host, _, err := net.SplitHostPort(r.address)
		if err != nil {
			return nil, err
		}
		return d.DialContext(ctx, network, net.JoinHostPort(host, "443"))
	}
	return &http.Client{Transport: https{toRevision{r, t}}}
}

// https changes the suite's URLs into those of the port with TLS.
type https struct{ toRevision }

func (t https) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme = "https"
	return t.toRevision.RoundTrip(req)
}

func tlsFromZero(ctx context.Context, w *world) (string, error) {
	plain, err := w.deploy(ctx, service{name: "plain"})
	if err != nil {
		return "", err
	}
	if _, err := plain.ok(ctx, "/"); err != nil {
		return "", err
	}
	c := plain.secure(pool(w.roots))
	defer c.CloseIdleConnections()
	a, err := send(ctx, c, http.MethodGet, plain.url("/"), nil)
	if err == nil {
		err = a.want(http.StatusOK)
	}
	if err != nil {
		return "", fmt.Errorf("over TLS: %w", err)
	}
	r, err := w.deploy(ctx, service{name: "grpc", port: "h2c"})
	if err != nil {
		return "", err
	}
	ctx, conn, err := r.dialGRPC(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	test := grpc_testing.NewTestServiceClient(conn)
	return "", errors.Join(unary(ctx, test), bidi(ctx, test))
}

// tlsWrongName also shows that the activator uses TLS to pods.
func tlsWrongName(ctx context.Context, w *world) (string, error) {
	r, err := w.deployIn(ctx, w.other(), service{name: "wrong", pods: 1})
	if err != nil {
		return "", err
	}
	a, err := r.get(ctx, "/")
	if err != nil {
		return "", err
	}
	return fmt.Sprint(a.status), a.want(http.StatusBadGateway)
}

func tlsRotation(ctx context.Context, w *world) (string, error) {
	if err := w.deployModes(ctx); err != nil {
		return "", err
	}
	second, err := newAuthority("second")
	if err != nil {
		return "", err
	}
	roots := pool(w.roots, second)
	begin := func(mode string) *running {
		r := w.shared[mode]
		return load{to: r, path: "/", conns: 32, rate: 150, client: func() *http.Client { return r.secure(roots) }}.begin(ctx)
	}
	proxied, served := begin("proxied"), begin("served")
	begun := time.Now()
	err = w.rotate(ctx, second)
	time.Sleep(3 * time.Second)
	took := time.Since(begun)
	p, s := proxied.end(), served.end()
	return fmt.Sprintf("Proxy: %s; Serve: %s; rotated in %.0f s", p.figure(), s.figure(), took.Seconds()), errors.Join(err, p.none(), s.none())
}

// rotate first adds the new root to the trusted ones, then creates certificates by it, and waits until every activator and pod
// presents them.
func (w *world) rotate(ctx context.Context, second *authority) error {
	_, err := w.CoreV1().ConfigMaps(system).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: bundle, Namespace: system, Labels: map[string]string{"networking.knative.dev/trust-bundle": "true"}},
		Data:       map[string]string{"ca.crt": string(second.pem)},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // it can't be observed when the activators have read it
	if err := w.certify(ctx, second, w.roots); err != nil {
		return err
	}
	return eventually(ctx, 2*time.Minute, "new certificates in use", func() error {
		pods, err := w.activators(ctx)
		if err != nil {
			return err
		}
		for _, mode := range []string{"proxied", "served"} {
			more, err := w.shared[mode].pods(ctx)
			if err != nil {
				return err
			}
			pods = append(pods, more...)
		}
		for _, p := range pods {
			if err := shows(ctx, p, pool(second)); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
		return nil
	})
}

// shows reports whether a pod's data plane presents a certificate by one of roots.
func shows(ctx context.Context, p corev1.Pod, roots *x509.CertPool) error {
	d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: legacyName, MinVersion: tls.VersionTLS13}}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(p.Status.PodIP, "8112"))
	if err != nil {
		return err
	}
	return c.Close()
}

func pool(all ...*authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range all {
		p.AddCert(a.cert)
	}
	return p
}
