package queueproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/podtls/podtlstest"
)

const (
	dataPlane = "data-plane.knative.dev" // SNI of an activator
	podName   = "kn-user-default"        // SAN of a pod
)

// volume is a Secret as the kubelet mounts it: files are links through ..data, which is swapped.
type volume struct {
	t   *testing.T
	dir string
	n   int
}

func newVolume(t *testing.T, cert, key []byte) *volume {
	t.Helper()
	v := &volume{t: t, dir: t.TempDir()}
	v.swap(cert, key)
	for _, name := range []string{knative.CertFile, knative.KeyFile} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func (v *volume) swap(cert, key []byte) {
	v.t.Helper()
	v.n++
	dir := fmt.Sprintf("..%d", v.n)
	v.must(os.Mkdir(filepath.Join(v.dir, dir), 0o700))
	v.must(os.WriteFile(filepath.Join(v.dir, dir, knative.CertFile), cert, 0o600))
	v.must(os.WriteFile(filepath.Join(v.dir, dir, knative.KeyFile), key, 0o600))
	v.must(os.Symlink(dir, filepath.Join(v.dir, "..data_tmp")))
	v.must(os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")))
	if v.n > 1 {
		v.must(os.RemoveAll(filepath.Join(v.dir, fmt.Sprintf("..%d", v.n-1))))
	}
}

func (v *volume) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// startTLS runs a pod with the certificate of v, which it looks at every few milliseconds.
func startTLS(t *testing.T, v *volume, app http.Handler) (*pod, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	any := "127.0.0.1:0"
	p, err := New(Config{
		UserAddr: startApp(t, app), ContainerConcurrency: 100, DrainQuiet: time.Millisecond, CertsDir: v.dir,
		Addrs: Addrs{Serve: any, TLS: any, Admin: any, Stats: any},
	}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	if p.policy.certs != nil {
		p.policy.certs.period = 5 * time.Millisecond
	}
	return runPod(t, p), logs
}

func trusting(ca *podtlstest.CA, alpn ...string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	return &tls.Config{RootCAs: roots, ServerName: podName, NextProtos: alpn}
}

// overTLS is a client that makes a new connection for each request unless kept is true.
func overTLS(t *testing.T, p *pod, c *tls.Config, two, kept bool) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: c, Protocols: new(http.Protocols), DisableKeepAlives: !kept}
	tr.Protocols.SetHTTP1(!two)
	tr.Protocols.SetHTTP2(two)
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", p.Addrs().TLS)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// served is the serial number of the certificate that a new connection gets.
func served(t *testing.T, p *pod, c *tls.Config) string {
	t.Helper()
	conn, err := tls.Dial("tcp", p.Addrs().TLS, c)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// Under load, over new and kept connections and in both protocols, certificates come and go, pairs that don't match
// and files that vanish among them: no request fails, new connections get the newest pair, and what can't be used is
// logged once.
func TestPeers22RotationLosesNothing(t *testing.T) {
	ca := podtlstest.NewCA(t)
	cert, key := ca.Issue(t, podName, dataPlane)
	v := newVolume(t, cert, key)
	p, logs := startTLS(t, v, http.HandlerFunc(ok))

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var done atomic.Int64
	for _, two := range []bool{false, true} {
		for _, kept := range []bool{false, true} {
			client := overTLS(t, p, trusting(ca), two, kept)
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					resp, err := client.Get("https://" + podName + "/")
					if err != nil {
						t.Errorf("HTTP/2 %v, kept %v: %v", two, kept, err)
						return
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || string(body) != "ok" || (resp.ProtoMajor == 2) != two {
						t.Errorf("HTTP/2 %v, kept %v: %q %v %s", two, kept, body, err, resp.Proto)
					}
					done.Add(1)
				}
			})
		}
	}
	old := served(t, p, trusting(ca))
	for round := range 8 {
		next, nextKey := ca.Issue(t, podName, dataPlane)
		v.swap(next, key) // not a pair
		warned := func() int { return logs.FilterLevelExact(zap.WarnLevel).Len() }
		eventually(t, "the bad pair is noticed", func() bool { return warned() == round+1 })
		if got := served(t, p, trusting(ca)); got != old {
			t.Errorf("while the pair is bad: %s, want %s", got, old)
		}
		before := done.Load()
		eventually(t, "requests go on", func() bool { return done.Load() > before+20 })
		if n := warned(); n != round+1 {
			t.Errorf("%d warnings of %d bad pairs", n, round+1)
		}
		v.swap(next, nextKey)
		eventually(t, "the new pair is served", func() bool { return served(t, p, trusting(ca)) != old })
		old, key = served(t, p, trusting(ca)), nextKey
	}
	close(stop)
	clients.Wait()
	t.Logf("%d requests", done.Load())
}

// A pod starts with a certificate that can't be used: it isn't ready, serves in the clear, and mends itself.
func TestPeers22StartsUnready(t *testing.T) {
	ca := podtlstest.NewCA(t)
	cert, key := ca.Issue(t, podName)
	v := newVolume(t, []byte("no certificate"), key)
	p, _ := startTLS(t, v, http.HandlerFunc(ok))
	probe := func() answer { return p.get("/", "User-Agent", activator, knative.HeaderProbe, "queue") }
	if got := probe(); got.status != 503 {
		t.Errorf("without a certificate the activator gets %d", got.status)
	}
	if got := p.get("/"); got.status != 200 {
		t.Errorf("in the clear: %d", got.status)
	}
	if got := served(t, p, trusting(ca)); !strings.Contains(got, "remote error") {
		t.Errorf("a handshake without a certificate: %s", got)
	}
	v.swap(cert, key)
	eventually(t, "it is ready", func() bool { return probe().status == 200 })
	req := p.request("/")
	req.URL.Scheme, req.URL.Host = "https", podName
	if got := p.do(overTLS(t, p, trusting(ca), false, false), req); got.status != 200 {
		t.Errorf("inside TLS: %d", got.status)
	}
}

// Without files nothing listens, as in a cluster without system-internal-tls.
func TestNoCertificateNoTLS(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"no directory": os.RemoveAll,
		"empty":        func(string) error { return nil },
		"no key": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, knative.CertFile), []byte("x"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := &volume{t: t, dir: t.TempDir()}
			v.must(prepare(v.dir))
			p, _ := startTLS(t, v, http.HandlerFunc(ok))
			if got := p.Addrs().TLS; got != Off {
				t.Errorf("TLS at %s", got)
			}
			if got := p.get("/", "User-Agent", kubelet, knative.HeaderProbe, "queue"); got.status != 200 {
				t.Errorf("a probe: %d", got.status)
			}
		})
	}
}

// The activator of Knative sends the HTTP/2 preface inside TLS without ALPN. TLS 1.2 is refused unless it is asked for.
func TestTLSAsTheActivatorSpeaksIt(t *testing.T) {
	ca := podtlstest.NewCA(t)
	cert, key := ca.Issue(t, podName)
	p, _ := startTLS(t, newVolume(t, cert, key), http.HandlerFunc(echo))
	conn, err := tls.Dial("tcp", p.Addrs().TLS, trusting(ca))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 9)
	if _, err := io.ReadFull(bufio.NewReader(conn), frame); err != nil || frame[3] != 4 {
		t.Errorf("the first frame is %x, %v; want SETTINGS", frame, err)
	}
	old := trusting(ca)
	old.MaxVersion = tls.VersionTLS12
	if got := served(t, p, old); !strings.Contains(got, "protocol version") {
		t.Errorf("TLS 1.2: %s", got)
	}
	// What is sent inside TLS counts as what is sent in the clear.
	req := p.request("/", knative.HeaderOriginalHost, "hello.example.com", knative.HeaderProxyRequest, knative.ProxyActivator)
	req.URL.Scheme, req.URL.Host = "https", podName
	got := p.do(overTLS(t, p, trusting(ca), false, false), req)
	contains(t, got.body, "Host: hello.example.com\n")
	if r := p.policy.stats.Report(time.Now()); r.ProxiedRequests != 1 {
		t.Errorf("%v counted as proxied", r.ProxiedRequests)
	}
}

// Probes are answered on the TLS port too, and a drain ends both ports together, losing nothing that is in flight.
func TestDrainOfBothPorts(t *testing.T) {
	ca := podtlstest.NewCA(t)
	cert, key := ca.Issue(t, podName)
	g := newGate()
	p, _ := startTLS(t, newVolume(t, cert, key), g)
	client := overTLS(t, p, trusting(ca), true, true)
	req := p.request("/", "User-Agent", activator, knative.HeaderProbe, "queue")
	req.URL.Scheme, req.URL.Host = "https", podName
	if got := p.do(client, req); got.status != 200 || got.body != "queue" {
		t.Errorf("a probe inside TLS: %d %q", got.status, got.body)
	}
	done := make(chan answer, 2)
	go func() { done <- p.get("/") }()
	go func() {
		req := p.request("/")
		req.URL.Scheme, req.URL.Host = "https", podName
		done <- p.do(client, req)
	}()
	<-g.arrived
	<-g.arrived
	addrs := p.Addrs()
	p.stop()
	for _, addr := range []string{addrs.Serve, addrs.TLS} {
		eventually(t, addr+" is closed", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
	}
	close(g.leave)
	for range 2 {
		if got := <-done; got.status != 200 {
			t.Errorf("in flight: %d", got.status)
		}
	}
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}
