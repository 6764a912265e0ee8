package queueproxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/sluice-proxy/sluice/internal/podtls/podtlstest"
	"github.com/sluice-proxy/sluice/internal/queueproxytest"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

// The table of package proxy's behaviour holds through a queue-proxy, on both of its ports.
func TestTable(t *testing.T) {
	const name = "kn-user-default"
	ca := podtlstest.NewCA(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	self := proxytest.Self{Name: "sluice-queue-proxy", TimeoutText: proxy.DefaultTimeoutText}
	clear := proxytest.Path{
		Name: "Clear", SameProto: true, Front: self, Back: self,
		Product: func(t testing.TB, s proxytest.Setting) string {
			return queueproxytest.Run(t, queueproxytest.Config(s)).Serve
		},
	}
	inside := clear
	inside.Name = "TLS"
	inside.TLS = &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS13}
	inside.Product = func(t testing.TB, s proxytest.Setting) string {
		c := queueproxytest.Config(s)
		c.CertsDir = ca.Mount(t, name)
		return queueproxytest.Run(t, c).TLS
	}
	proxytest.Run(t, clear, inside)
}
