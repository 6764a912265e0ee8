package podtls

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/internal/podtls/podtlstest"
)

// handshake connects a client and a server over TCP, and returns the client's error and what the server was shown.
func handshake(t *testing.T, client, server *tls.Config) (state tls.ConnectionState, sni string, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			asked <- err.Error()
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		_ = s.Handshake()
		asked <- s.ConnectionState().ServerName
		_, _ = io.Copy(io.Discard, s)
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		<-asked
		return state, "", err
	}
	defer c.Close()
	return c.ConnectionState(), <-asked, nil
}

func serverWith(t *testing.T, cert, key []byte) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

func newStore(t *testing.T, ca *podtlstest.CA) *Store {
	t.Helper()
	k := New(&tls.Config{MinVersion: tls.VersionTLS13})
	if err := k.SetSecret(SecretName, ca.Secret(t, ServerName)); err != nil {
		t.Fatal(err)
	}
	return k
}

// A pod is believed when its chain ends in a root and its certificate names its namespace, lower case; nothing else
// about its names matters.
func TestWhichPodsAreBelieved(t *testing.T) {
	ours, theirs := podtlstest.NewCA(t), podtlstest.NewCA(t)
	for _, c := range []struct {
		name      string
		namespace string
		issuer    *podtlstest.CA
		names     []string
		want      string // "": believed
	}{
		{"as Knative issues it", "default", ours, []string{"kn-user-default", ServerName}, ""},
		{"the namespace's name alone", "default", ours, []string{"kn-user-default"}, ""},
		{"upper case", "Default", ours, []string{"kn-user-default"}, ""},
		{"another namespace", "default", ours, []string{"kn-user-other", ServerName}, "not for"},
		{"no such name", "default", ours, []string{ServerName}, "not for"},
		{"a wildcard", "default", ours, []string{"*"}, "not for"},
		{"another issuer", "default", theirs, []string{"kn-user-default"}, "unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, key := c.issuer.Issue(t, c.names...)
			_, sni, err := handshake(t, newStore(t, ours).Client(c.namespace), serverWith(t, cert, key))
			switch {
			case c.want == "" && (err != nil || sni != ServerName):
				t.Errorf("SNI %q, %v", sni, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// With the Secret of internal-encryption pods show a certificate for the one name that all have, whatever keys the Secret
// has; with today's that is not enough.
func TestC4InternalEncryption(t *testing.T) {
	ca, theirs := podtlstest.NewCA(t), podtlstest.NewCA(t)
	now := ca.Secret(t, ServerName)
	older := map[string][]byte{"public-cert.pem": now["tls.crt"], "private-key.pem": now["tls.key"], "ca-cert.pem": now["ca.crt"]}
	server := func(ca *podtlstest.CA, names ...string) *tls.Config {
		cert, key := ca.Issue(t, names...)
		return serverWith(t, cert, key)
	}
	for _, secret := range []map[string][]byte{now, older} {
		k := New(&tls.Config{MinVersion: tls.VersionTLS13})
		if err := k.SetSecret(SecretName, nil); err == nil {
			t.Error("no Secret is none")
		}
		if err := k.SetSecret(OldSecretName, secret); err != nil || k.Missing() != "" {
			t.Fatalf("%v, %s", err, k.Missing())
		}
		if _, _, err := handshake(t, k.Client("default"), server(ca, ServerName)); err != nil {
			t.Error(err)
		}
		for name, s := range map[string]*tls.Config{"another name": server(ca, "x.knative.dev"), "another issuer": server(theirs, ServerName)} {
			if _, _, err := handshake(t, k.Client("default"), s); err == nil {
				t.Errorf("%s was believed", name)
			}
		}
		// The cluster is upgraded: the pod has to name its namespace.
		if err := k.SetSecret(SecretName, now); err != nil {
			t.Fatal(err)
		}
		if _, _, err := handshake(t, k.Client("default"), server(ca, ServerName)); err == nil {
			t.Error("with today's Secret a pod of any namespace was believed")
		}
	}
	k := New(&tls.Config{})
	if err := k.SetSecret(OldSecretName, map[string][]byte{}); err == nil || !strings.Contains(k.Missing(), "in Secret knative-serving-certs") {
		t.Errorf("%v, %s", err, k.Missing())
	}
}

func TestSettingsHoldForBothSides(t *testing.T) {
	ca := podtlstest.NewCA(t)
	cert, key := ca.Issue(t, "kn-user-default")
	old := serverWith(t, cert, key)
	old.MaxVersion = tls.VersionTLS12
	if _, _, err := handshake(t, newStore(t, ca).Client("default"), old); err == nil {
		t.Error("the client spoke TLS 1.2")
	}
	k := newStore(t, ca)
	anyone := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	if _, _, err := handshake(t, anyone, k.Server()); err == nil {
		t.Error("the server spoke TLS 1.2")
	}
	s, _, err := handshake(t, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}, k.Server())
	if err != nil || s.NegotiatedProtocol != "h2" || s.Version != tls.VersionTLS13 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestPeers22NewCertificate: a listener that serves goes on with the newest certificate, and with the old one while the
// Secret can't be used.
func TestPeers22NewCertificate(t *testing.T) {
	ca := podtlstest.NewCA(t)
	k := New(&tls.Config{})
	server := k.Server()
	shown := func() string {
		s, _, err := handshake(t, &tls.Config{InsecureSkipVerify: true}, server)
		if err != nil {
			return err.Error()
		}
		return s.PeerCertificates[0].DNSNames[0]
	}
	if got := shown(); !strings.Contains(got, "internal error") {
		t.Errorf("without a certificate: %s", got)
	}
	mixed := ca.Secret(t, "third")
	mixed["tls.key"] = ca.Secret(t, "fourth")["tls.key"]
	for _, c := range []struct {
		secret map[string][]byte
		want   string
		err    string
	}{
		{ca.Secret(t, "first"), "first", ""},
		{ca.Secret(t, "second"), "second", ""},
		{mixed, "second", "tls.crt and tls.key of Secret routing-serving-certs are not a valid pair"},
		{nil, "second", "the Secret routing-serving-certs does not exist"},
		{map[string][]byte{}, "second", "are not a valid pair"},
		{ca.Secret(t, "fifth"), "fifth", ""},
	} {
		err := k.SetSecret(SecretName, c.secret)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.want, err, c.err)
		}
		if got := shown(); got != c.want {
			t.Errorf("shows %s, want %s", got, c.want)
		}
	}
}

// TestPeers22NewRoots: connections are shared by the pointer of their configuration, so that must change when roots do
// and at no other time.
func TestPeers22NewRoots(t *testing.T) {
	ours, next := podtlstest.NewCA(t), podtlstest.NewCA(t)
	k := newStore(t, ours)
	cert, key := next.Issue(t, "kn-user-default")
	pod := serverWith(t, cert, key)
	first := k.Client("default")
	if k.Client("default") != first || k.Client("other") == first {
		t.Error("not one configuration per namespace")
	}
	same := func(what string, err error, want string) {
		t.Helper()
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v", what, err)
		}
		if k.Client("default") != first {
			t.Errorf("%s: another configuration", what)
		}
	}
	same("a new certificate", k.SetSecret(SecretName, ours.Secret(t, "renewed")), "")
	bad := ours.Secret(t, "renewed")
	bad["ca.crt"] = []byte("none")
	same("roots that are none", k.SetSecret(SecretName, bad), "ca.crt of Secret routing-serving-certs contains no certificate")
	same("a bundle that is none", k.SetTrustBundles([][]byte{[]byte("x")}), "1 of 1 trust bundles contain no certificate")
	if _, _, err := handshake(t, k.Client("default"), pod); err == nil {
		t.Error("believed a pod of the next issuer")
	}
	if err := k.SetTrustBundles([][]byte{next.PEM}); err != nil {
		t.Fatal(err)
	}
	second := k.Client("default")
	if _, _, err := handshake(t, second, pod); err != nil || second == first {
		t.Errorf("with the bundle: %v", err)
	}
	if err := k.SetTrustBundles(nil); err != nil || k.Client("default") == second {
		t.Errorf("without the bundle: %v", err)
	}
	if _, _, err := handshake(t, k.Client("default"), pod); err == nil {
		t.Error("believed a pod whose issuer was taken away")
	}
}

func TestMissing(t *testing.T) {
	ca := podtlstest.NewCA(t)
	k := New(&tls.Config{})
	want := "tls.crt and tls.key in Secret routing-serving-certs, and ca.crt in Secret routing-serving-certs or a trust bundle"
	if got := k.Missing(); got != want {
		t.Error(got)
	}
	cert, key := ca.Issue(t, "kn-user-default")
	if _, _, err := handshake(t, k.Client("default"), serverWith(t, cert, key)); err == nil {
		t.Error("accepted a certificate without roots")
	}
	s := ca.Secret(t, ServerName)
	delete(s, "ca.crt")
	if err := k.SetSecret(SecretName, s); err != nil {
		t.Error(err)
	}
	if got := k.Missing(); got != "ca.crt in Secret routing-serving-certs or a trust bundle" {
		t.Error(got)
	}
	if err := k.SetTrustBundles([][]byte{ca.PEM}); err != nil || k.Missing() != "" {
		t.Error(err, k.Missing())
	}
}

func BenchmarkClient(b *testing.B) {
	k := New(&tls.Config{})
	if err := k.SetTrustBundles([][]byte{podtlstest.NewCA(b).PEM}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	namespace := strings.Clone("default")
	for b.Loop() {
		k.Client(namespace)
	}
}

// What Knative's queue-proxies and its controller call things (knative.dev/networking, pkg/certificates).
func TestNamesOfTheContract(t *testing.T) {
	if ServerName != "data-plane.knative.dev" || SecretName != "routing-serving-certs" {
		t.Errorf("SNI %s, Secret %s", ServerName, SecretName)
	}
	if got := New(&tls.Config{}).Client("default").ServerName; got != ServerName {
		t.Errorf("SNI of a request to a pod: %s", got)
	}
}
