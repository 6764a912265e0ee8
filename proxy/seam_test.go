package proxy_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/proxy/proxytest"
)

func TestHandler(t *testing.T) {
	server, client := certified(t)
	proxytest.Run(t,
		proxytest.Path{Name: "Clear", NetHTTP: true, Serve: serve},
		proxytest.Path{Name: "TLS", NetHTTP: true, TLS: client, Serve: func(t testing.TB, c proxy.Config) string {
			return serveOn(t, c, server)
		}},
	)
}

// serve runs a Handler in a server of its own, and holds it to have nothing left at the end.
func serve(t testing.TB, c proxy.Config) string {
	t.Helper()
	return serveOn(t, c, nil)
}

func serveOn(t testing.TB, c proxy.Config, inside *tls.Config) string {
	t.Helper()
	h, err := proxy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, h)
	return serveInside(t, proxy.NewServer(h, proxy.ServerConfig{}), inside)
}

// certified makes the TLS of a server, and that of clients which believe it.
func certified(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	made := httptest.NewUnstartedServer(nil) // for its certificate
	made.StartTLS()
	defer made.Close()
	server = &tls.Config{Certificates: made.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
	client = made.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	client.NextProtos = nil
	return server, client
}
