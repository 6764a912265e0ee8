package activator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/podtls/podtlstest"
	"github.com/sluice-proxy/sluice/internal/queueproxytest"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// network has real listeners under addresses that this machine doesn't have.
type network struct {
	mu     sync.Mutex
	at     map[string]string
	dialed []string
}

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, addr)
	at := n.at[addr]
	n.mu.Unlock()
	if at == "" {
		return nil, fmt.Errorf("nobody is at %s", addr)
	}
	return new(net.Dialer).DialContext(ctx, network, at)
}

func (n *network) put(addr, at string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at == nil {
		n.at = map[string]string{}
	}
	n.at[addr] = at
}

func (n *network) dialedTo(addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.dialed, addr)
}

const podName = "kn-user-default"

// secure is a real queue-proxy with a certificate; it echoes what its app saw.
func secure(t *testing.T, ca *podtlstest.CA) (plain, overTLS string) {
	t.Helper()
	app := newPod(t, "app", 0, false, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Host, " ", r.Header.Get("K-Proxy-Request"))
	})
	at := queueproxytest.Run(t, queueproxy.Config{UserAddr: app.addr, CertsDir: ca.Mount(t, podName, "data-plane.knative.dev")})
	return at.Serve, at.TLS
}

func trusting(ca *podtlstest.CA) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	return &tls.Config{RootCAs: roots, ServerName: podName, MinVersion: tls.VersionTLS13}
}

// TestPodTLS: requests go over TLS to port 8112 of a real queue-proxy, or 443 of the cluster IP, in every protocol,
// while probes stay in the clear.
func TestPodTLS(t *testing.T) {
	ca := podtlstest.NewCA(t)
	plain, overTLS := secure(t, ca)
	for _, c := range []struct {
		name          string
		mode          activator.MeshMode
		plain, secure string
	}{
		{"pod", activator.MeshAuto, "10.0.0.1:8012", "10.0.0.1:8112"},
		{"cluster IP", activator.MeshEnabled, "10.96.0.1:80", "10.96.0.1:443"},
		{"pod, IPv6", activator.MeshDisabled, "[fd00::1]:8012", "[fd00::1]:8112"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &network{}
			n.put(c.plain, plain)
			n.put(c.secure, overTLS)
			roots := trusting(ca)
			f := newFront(t, activator.Config{MeshMode: c.mode, Dial: n.dial, PodTLS: func(namespace string) *tls.Config {
				if namespace != "default" {
					t.Errorf("asked for namespace %q", namespace)
				}
				return roots
			}})
			f.UpdateEndpoints(hello, activator.Endpoints{
				Ready:     []activator.Endpoint{{ID: "pod-1", Addr: c.plain}},
				ClusterIP: "10.96.0.1:80",
			})
			for _, proto := range []proxy.Proto{proxy.SameProto, proxy.HTTP2} {
				f.UpdateRevision(activator.Revision{ID: hello, Proto: proto})
				f.awaitUsable(t, 1)
				for _, two := range []bool{false, true} {
					tr := &http.Transport{Protocols: only(two)}
					defer tr.CloseIdleConnections()
					f.client = &http.Client{Transport: tr}
					want := "HTTP/1.1 "
					if two || proto == proxy.HTTP2 {
						want = "HTTP/2.0 "
					}
					if a := f.get("/"); !a.ok() || a.body != want+helloHost+" activator" {
						t.Errorf("proto %v, HTTP/2 client %v: %v, want %s", proto, two, a, want)
					}
				}
			}
			if c.mode != activator.MeshDisabled && !n.dialedTo(c.plain) {
				t.Error("not probed in the clear")
			}
		})
	}
}

// TestPodTLSFails: a pod that can't prove who it is gets no request, and is left alone for a while; others are used; and
// the reason is told. Nothing goes out in the clear instead.
func TestPodTLSFails(t *testing.T) {
	t.Parallel()
	ca, other := podtlstest.NewCA(t), podtlstest.NewCA(t)
	n := &network{}
	bad, badTLS := secure(t, other)
	n.put("10.0.0.1:8012", bad)
	n.put("10.0.0.1:8112", badTLS)
	var roots atomic.Pointer[tls.Config]
	f := newFront(t, activator.Config{Dial: n.dial, PodTLS: func(string) *tls.Config { return roots.Load() }})
	f.UpdateRevision(activator.Revision{ID: hello, Limit: 1})
	one := activator.Endpoints{Ready: []activator.Endpoint{{ID: "bad", Addr: "10.0.0.1:8012"}}}
	f.UpdateEndpoints(hello, one)
	f.awaitUsable(t, 1)
	for name, c := range map[string]*tls.Config{"of another authority": trusting(ca), "nobody is believed": nil} {
		roots.Store(c)
		if a := f.get("/"); a.status != 502 || !strings.Contains(a.header.Get("Proxy-Status"), "tls_certificate_error") {
			t.Errorf("%s: %v %q", name, a, a.header.Get("Proxy-Status"))
		}
	}
	roots.Store(trusting(ca))
	good, goodTLS := secure(t, ca)
	n.put("10.0.0.2:8012", good)
	n.put("10.0.0.2:8112", goodTLS)
	one.Ready = append(one.Ready, activator.Endpoint{ID: "good", Addr: "10.0.0.2:8012"})
	f.UpdateEndpoints(hello, one)
	f.awaitUsable(t, 2)
	for _, a := range together(20, func(int) answer { return f.do(http.MethodPost, "/", []byte("body")) }) {
		if !a.ok() {
			t.Fatal(a)
		}
	}
}

// TestPeers22NewRoots: when pods and what is believed of them change under load, no request fails.
func TestPeers22NewRoots(t *testing.T) {
	t.Parallel()
	old, fresh := podtlstest.NewCA(t), podtlstest.NewCA(t)
	n := &network{}
	oldPlain, oldTLS := secure(t, old)
	freshPlain, freshTLS := secure(t, fresh)
	n.put("10.0.0.1:8012", oldPlain)
	n.put("10.0.0.1:8112", oldTLS)
	n.put("10.0.0.2:8012", freshPlain)
	n.put("10.0.0.2:8112", freshTLS)
	var roots atomic.Pointer[tls.Config]
	roots.Store(trusting(old))
	f := newFront(t, activator.Config{Dial: n.dial, PodTLS: func(string) *tls.Config { return roots.Load() }})
	f.UpdateRevision(activator.Revision{ID: hello})
	f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{{ID: "old", Addr: "10.0.0.1:8012"}}})
	f.awaitUsable(t, 1)
	stop, halt := blocking()
	done := make(chan []answer)
	var served atomic.Int64
	go func() {
		done <- together(8, func(int) (a answer) {
			for {
				if a = f.get("/"); !a.ok() {
					return a
				}
				served.Add(1)
				select {
				case <-stop:
					return a
				default:
				}
			}
		})
	}()
	step := func() {
		n := served.Load()
		await(t, "more answers", func() bool { return served.Load() > n+100 || len(done) > 0 })
	}
	step()
	both := trusting(old)
	both.RootCAs.AppendCertsFromPEM(fresh.PEM)
	roots.Store(both)
	step()
	f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{
		{ID: "old", Addr: "10.0.0.1:8012"}, {ID: "fresh", Addr: "10.0.0.2:8012"},
	}})
	f.awaitUsable(t, 2)
	step()
	f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{{ID: "fresh", Addr: "10.0.0.2:8012"}}})
	step()
	roots.Store(trusting(fresh))
	step()
	halt()
	for _, a := range <-done {
		if !a.ok() {
			t.Error(a)
		}
	}
}

// TestPodTLSOfNetHTTP: a queue-proxy that is a server of net/http inside TLS, as Knative's is.
func TestPodTLSOfNetHTTP(t *testing.T) {
	ca := podtlstest.NewCA(t)
	certPEM, keyPEM := ca.Issue(t, podName)
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	p := newPod(t, "pod-1", 0, false, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, " ", r.TLS != nil) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: p, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.ServeTLS(l, "", "") }()
	defer func() { _ = s.Close(); <-ended }()
	n := &network{}
	n.put("10.0.0.1:8012", p.addr)
	n.put("10.0.0.1:8112", l.Addr().String())
	roots := trusting(ca)
	f := newFront(t, activator.Config{Dial: n.dial, PodTLS: func(string) *tls.Config { return roots }})
	f.UpdateEndpoints(hello, activator.Endpoints{Ready: []activator.Endpoint{{Addr: "10.0.0.1:8012"}}})
	for proto, want := range map[proxy.Proto]string{proxy.HTTP1: "HTTP/1.1 true", proxy.HTTP2: "HTTP/2.0 true"} {
		f.UpdateRevision(activator.Revision{ID: hello, Proto: proto})
		if a := f.get("/"); !a.ok() || a.body != want {
			t.Errorf("%v, want %s", a, want)
		}
	}
}
