package queueproxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/podtls/podtlstest"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// The table of package proxy's behaviour holds through a queue-proxy, on both of its ports.
func TestTable(t *testing.T) {
	const name = "kn-user-default"
	ca := podtlstest.NewCA(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	certs := t.TempDir()
	cert, key := ca.Issue(t, name)
	for file, pem := range map[string][]byte{knative.CertFile: cert, knative.KeyFile: key} {
		if err := os.WriteFile(filepath.Join(certs, file), pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self := proxytest.Self{Name: "sluice-queue-proxy", TimeoutText: proxy.DefaultTimeoutText}
	clear := proxytest.Path{
		Name: "Clear", SameProto: true, Front: self, Back: self,
		Product: func(t testing.TB, s proxytest.Setting) string { return run(t, s, "").Serve },
	}
	inside := clear
	inside.Name = "TLS"
	inside.TLS = &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS13}
	inside.Product = func(t testing.TB, s proxytest.Setting) string { return run(t, s, certs).TLS }
	proxytest.Run(t, clear, inside)
}

// run runs a queue-proxy by s until the test ends, when it must have nothing left in progress.
func run(t testing.TB, s proxytest.Setting, certs string) queueproxy.Addrs {
	t.Helper()
	any := "127.0.0.1:0"
	p, err := queueproxy.New(queueproxy.Config{
		Identity:             queueproxy.Identity{Namespace: "default", Revision: "hello-00001", Pod: "pod-1"},
		Addrs:                queueproxy.Addrs{Serve: any, TLS: any, Admin: any, Stats: any, Metrics: any},
		UserAddr:             s.App,
		ContainerConcurrency: s.Limit,
		Timeouts:             s.Timeouts,
		FullDuplex:           s.FullDuplex,
		CertsDir:             certs,
		RequestMetrics:       queueproxy.MetricsPrometheus,
		WrapPolicy:           func(p proxy.Policy) proxy.Policy { return butProbes{own: p, watched: s.Watch(p)} },
		DrainQuiet:           time.Millisecond,
		DrainIdle:            time.Millisecond,
		GracePeriod:          10 * time.Second,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return p.Addrs()
}

// butProbes has probes go past who watches.
type butProbes struct{ own, watched proxy.Policy }

func (p butProbes) Begin(req *proxy.Request) proxy.Exchange {
	if queueproxy.IsProbe(req.Header) {
		return p.own.Begin(req)
	}
	return p.watched.Begin(req)
}
