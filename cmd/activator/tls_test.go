package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/podtls/podtlstest"
)

const (
	dataPlane = "data-plane.knative.dev"
	ofDefault = "kn-user-default" // the name that certificates of pods of namespace default must have
)

var withTLS = map[string]string{"system-internal-tls": "enabled"}

// certsDir is a pod's directory of certificates.
type certsDir string

func (d certsDir) write(t *testing.T, ca *podtlstest.CA, names ...string) {
	t.Helper()
	cert, key := ca.Issue(t, names...)
	for name, pem := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
		path := filepath.Join(string(d), name)
		if err := os.WriteFile(path+".new", pem, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *process) tlsAddr(t *testing.T) string {
	t.Helper()
	await(t, "the TLS port", func() bool { return len(p.addresses("requests over TLS")) == 1 })
	return p.addresses("requests over TLS")[0]
}

// shown returns the name in the certificate that addr presents on a new connection.
func shown(addr string) string {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	return strings.Join(c.ConnectionState().PeerCertificates[0].DNSNames, " ")
}

// TestPeers22StartsUnreadyWithoutTheSecret checks that the activator names what is missing, and starts once that exists.
func TestPeers22StartsUnreadyWithoutTheSecret(t *testing.T) {
	t.Parallel()
	api := startAPIServer(t, withTLS)
	p := onKubernetes(t, api)
	lacks := func(want string) {
		t.Helper()
		await(t, want, func() bool {
			s, why := p.readiness(t)
			return s == 500 && strings.Contains(why, "system-internal-tls is on, and namespace knative-serving lacks "+want)
		})
	}
	lacks("tls.crt and tls.key in Secret routing-serving-certs, and ca.crt in Secret routing-serving-certs or a trust bundle: the Secret routing-serving-certs does not exist")
	await(t, "the reason in the log", func() bool { return p.says("knative-serving lacks tls.crt") })
	ca := podtlstest.NewCA(t)
	secret := ca.Secret(t, dataPlane)
	delete(secret, "ca.crt")
	api.secret(secret)
	lacks("ca.crt in Secret routing-serving-certs or a trust bundle")
	api.put("configmaps", system, "bundle", map[string]string{"networking.knative.dev/trust-bundle": "true"},
		object{"data": map[string]string{"ca.pem": string(ca.PEM)}})
	p.ready(t)
	if got := shown(p.tlsAddr(t)); got != dataPlane {
		t.Errorf("presents a certificate for %s", got)
	}
}

// TestWhichPodsAreBelieved checks that requests go to pods over TLS only, and only to pods of the revision's namespace.
func TestWhichPodsAreBelieved(t *testing.T) {
	t.Parallel()
	api := startAPIServer(t, withTLS)
	ca := podtlstest.NewCA(t)
	api.secret(ca.Secret(t, dataPlane))
	p := onKubernetes(t, api)
	p.ready(t)
	api.revision()
	certs := certsDir(t.TempDir())
	certs.write(t, ca, "kn-user-other", dataPlane)
	api.pods(t, sidecar(t, string(certs)))
	h1, addr := client(t, false), p.addresses("requests")[0]
	await(t, "a refusal", func() bool {
		s, b, _ := get(h1, addr)
		if s == 200 {
			t.Fatal("a pod of another namespace was accepted")
		}
		return s == 502 && strings.Contains(b, `for ["kn-user-other" "data-plane.knative.dev"], not for "kn-user-default"`)
	})
	certs.write(t, ca, ofDefault, dataPlane)
	await(t, "an answer", func() bool { s, _, _ := get(h1, addr); return s == 200 })
}

// older renames the keys of a Secret, or the files of a directory, to those of internal-encryption up to Knative 1.8.
func older[T any](of map[string]T) map[string]T {
	names := map[string]string{"tls.crt": "public-cert.pem", "tls.key": "private-key.pem", "ca.crt": "ca-cert.pem"}
	renamed := map[string]T{}
	for name, v := range of {
		renamed[names[name]] = v
	}
	return renamed
}

// internal-encryption of Knative 1.6 to 1.11 has another Secret, and all its certificates are for one name. Up to 1.8 its
// keys and files have other names.
func TestC4InternalEncryption(t *testing.T) {
	t.Parallel()
	const lacks = "internal-encryption is on, and namespace knative-serving lacks tls.crt and tls.key in Secret "
	for _, c := range []struct {
		name, version string
		older         bool // keys and files
		lacks         string
	}{
		{"1.6", "1.6.0", true, lacks + "knative-serving-certs"},
		{"1.11", "1.11.2", false, lacks + "knative-serving-certs"},
		{"a release that isn't known", "devel", true, lacks + "routing-serving-certs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api := startAPIServer(t, map[string]string{"internal-encryption": "true"})
			api.put("configmaps", system, "config-observability", labelled(c.version), object{"data": object{"metrics-protocol": "none", "metrics.backend-destination": "none"}})
			api.put("configmaps", system, "config-logging", labelled(c.version), object{"data": object{}})
			p := onKubernetes(t, api, "-drain", "0s")
			await(t, c.lacks, func() bool {
				s, why := p.readiness(t)
				return s == 500 && strings.Contains(why, c.lacks)
			})
			ca := podtlstest.NewCA(t)
			secret, pod := ca.Secret(t, dataPlane), ca.Secret(t, dataPlane)
			if c.older {
				secret, pod = older(secret), older(pod)
			}
			api.put("secrets", system, "knative-serving-certs", nil, object{"data": secret})
			p.ready(t)
			if got := shown(p.tlsAddr(t)); got != dataPlane {
				t.Errorf("shows a certificate for %s", got)
			}
			api.revision()
			certs := t.TempDir()
			for name, pem := range pod {
				if err := os.WriteFile(filepath.Join(certs, name), pem, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			api.pods(t, sidecar(t, certs))
			h1, addr := client(t, false), p.addresses("requests")[0]
			await(t, "an answer", func() bool { s, _, _ := get(h1, addr); return s == 200 })

			secret = ca.Secret(t, "renewed", dataPlane)
			if c.older {
				secret = older(secret)
			}
			api.put("secrets", system, "knative-serving-certs", nil, object{"data": secret})
			await(t, "the activator's new certificate", func() bool { return strings.HasPrefix(shown(p.tlsAddr(t)), "renewed") })
		})
	}
}

// In 1.12 and later internal-encryption is the older name of system-internal-tls, with its Secret and its names.
func TestC4InternalEncryptionIsAnOlderName(t *testing.T) {
	t.Parallel()
	api := startAPIServer(t, map[string]string{"internal-encryption": "true"})
	ca := podtlstest.NewCA(t)
	api.put("secrets", system, "knative-serving-certs", nil, object{"data": older(ca.Secret(t, dataPlane))}) // left over
	api.put("configmaps", system, "config-observability", labelled("1.12.0"), object{"data": object{"metrics-protocol": "none", "metrics.backend-destination": "none"}})
	p := onKubernetes(t, api, "-drain", "0s")
	await(t, "what is missing", func() bool {
		_, why := p.readiness(t)
		return strings.Contains(why, "in Secret routing-serving-certs")
	})
	api.secret(ca.Secret(t, dataPlane))
	p.ready(t)
	api.revision()
	certs := certsDir(t.TempDir())
	certs.write(t, ca, dataPlane) // not for the namespace
	api.pods(t, sidecar(t, string(certs)))
	h1, addr := client(t, false), p.addresses("requests")[0]
	await(t, "a refusal", func() bool { s, b, _ := get(h1, addr); return s == 502 && strings.Contains(b, "not for") })
	certs.write(t, ca, ofDefault)
	await(t, "an answer", func() bool { s, _, _ := get(h1, addr); return s == 200 })
}

// TestPeers22RotationLosesNothing checks that no request fails while the certificates of both ends and their issuer change,
// over new connections and old ones.
func TestPeers22RotationLosesNothing(t *testing.T) {
	t.Parallel()
	api := startAPIServer(t, withTLS)
	old, next := podtlstest.NewCA(t), podtlstest.NewCA(t)
	api.secret(old.Secret(t, "first", dataPlane))
	p := onKubernetes(t, api)
	p.ready(t)
	api.revision()
	certs := certsDir(t.TempDir())
	certs.write(t, old, ofDefault)
	pod := sidecar(t, string(certs))
	api.pods(t, pod)
	host, _, _ := net.SplitHostPort(pod)
	addr := p.tlsAddr(t)

	var stop atomic.Bool
	var asked atomic.Int64
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			tr := &http.Transport{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: i%2 == 0, ForceAttemptHTTP2: i == 1,
			}
			defer tr.CloseIdleConnections()
			for c := (&http.Client{Transport: tr, Timeout: time.Minute}); !stop.Load(); asked.Add(1) {
				if err := ask(c, "https://"+addr); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	more := func() {
		t.Helper()
		was := asked.Load()
		await(t, "more requests", func() bool { return t.Failed() || asked.Load() > was+50 })
	}
	changes := func(addr, name string) {
		t.Helper()
		await(t, "the certificate for "+name, func() bool { return t.Failed() || strings.HasPrefix(shown(addr), name) })
		more()
	}
	defer clients.Wait()
	defer stop.Store(true)
	more()
	api.secret(old.Secret(t, "second", dataPlane))
	changes(addr, "second")
	api.put("configmaps", system, "bundle", map[string]string{"networking.knative.dev/trust-bundle": "true"},
		object{"data": map[string]string{"next": string(next.PEM)}})
	more()
	bad := next.Secret(t, "third", dataPlane)
	bad["tls.key"] = old.Secret(t, "x")["tls.key"]
	bad["ca.crt"] = old.PEM
	api.secret(bad)
	await(t, "the error", func() bool { return p.says("the previous certificates stay in use") })
	more()
	certs.write(t, next, ofDefault, "renewed")
	await(t, "the pod's certificate", func() bool { return strings.Contains(shown(host+":8112"), "renewed") })
	more()
	api.secret(next.Secret(t, "fourth", dataPlane))
	changes(addr, "fourth")
	api.remove("configmaps", system, "bundle")
	more()
	api.remove("secrets", system, "routing-serving-certs")
	more()
	if got := shown(addr); !strings.HasPrefix(got, "fourth") {
		t.Errorf("without the Secret it shows %s", got)
	}
}

func ask(c *http.Client, url string) error {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("body"))
	if err != nil {
		return err
	}
	req.Header.Set("Knative-Serving-Namespace", "default")
	req.Header.Set("Knative-Serving-Revision", "hello")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %s", resp.StatusCode, resp.Header.Get("Proxy-Status"))
	}
	return nil
}
