package activator_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/activator/static"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/podtls/podtlstest"
	"github.com/sluice-proxy/sluice/internal/queueproxytest"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

// The table of package proxy's behaviour holds through an activator and a queue-proxy: in the clear, and with TLS to the
// activator and from it to the pod.
func TestTable(t *testing.T) {
	ca := podtlstest.NewCA(t)
	clear := proxytest.Path{
		Name:    "Clear",
		Proxies: 2,
		Adds:    []string{"K-Proxy-Request: activator", "Forwarded: for=127.0.0.1"},
		Front:   proxytest.Self{Name: activator.Name, TimeoutText: "activator request timeout"},
		Back:    proxytest.Self{Name: "sluice-queue-proxy", TimeoutText: proxy.DefaultTimeoutText},
		Product: func(t testing.TB, s proxytest.Setting) string { return chain(t, s, nil) },
	}
	inside := clear
	inside.Name, inside.TLS = "TLS", trusting(ca)
	inside.Product = func(t testing.TB, s proxytest.Setting) string { return chain(t, s, ca) }
	proxytest.Run(t, clear, inside)
}

// chain runs an activator in front of a queue-proxy until the test ends; nothing must be in progress by then.
func chain(t testing.TB, s proxytest.Setting, ca *podtlstest.CA) (addr string) {
	t.Helper()
	inPod := queueproxytest.Config(s)
	if ca != nil {
		inPod.CertsDir = ca.Mount(t, podName)
	}
	revision := activator.Revision{ID: hello, Limit: s.Limit, Proto: s.Proto}
	watch := func(p proxy.Policy) proxy.Policy { return p }
	if s.AtFront {
		revision.Timeouts, watch = s.Timeouts, s.Watch
		inPod.Timeouts, inPod.WrapPolicy = proxy.Timeouts{}, nil
	}
	pod := queueproxytest.Run(t, inPod)
	c := activator.Config{WrapPolicy: func(p proxy.Policy) proxy.Policy { return watch(ingress{p}) }}
	const listed = "10.0.0.1"
	if ca != nil {
		c.PodTLS = func(string) *tls.Config { return nil }
		trusted := trusting(ca)
		c.PodTLS = func(string) *tls.Config { return trusted }
	}
	n := new(network) // pods have fixed ports, which this machine may not have free
	n.put(listed+":8012", pod.Serve)
	n.put(listed+":8112", pod.TLS)
	c.Dial = n.dial
	a, err := activator.New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	src := static.New(static.Revision{Revision: revision, Endpoints: activator.Endpoints{
		Ready: []activator.Endpoint{{ID: "pod-1", Addr: listed + ":8012"}},
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if ca != nil {
		cert, key := ca.Issue(t, podName)
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		l = proxy.NewTLSListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran, served := make(chan error, 1), make(chan error, 1)
	go func() { ran <- a.Run(ctx, src) }()
	e := a.Engine(proxy.ServerConfig{})
	go func() { served <- e.Serve(l) }()
	t.Cleanup(func() {
		// Clients have gone, and so have their slots.
		await(t, "the slots to be free", func() bool { s, _ := a.Stats(hello); return s.InFlight == 0 })
		e.Close()
		<-served
		left, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := a.Drain(left); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		a.Close()
	})
	await(t, "the pod to be usable", func() bool { s, _ := a.Stats(hello); return s.Usable == 1 })
	return addr
}

// ingress names the revision, as Knative's does.
type ingress struct{ proxy.Policy }

func (p ingress) Begin(req *proxy.Request) proxy.Exchange {
	req.Header.Set(knative.HeaderNamespace, hello.Namespace)
	req.Header.Set(knative.HeaderRevision, hello.Name)
	return p.Policy.Begin(req)
}
