package proxytest

import (
	"cmp"
	"crypto/tls"
	"slices"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// Path is one way from a client to an app: an implementation of the seam with the case's policy (then Serve is set), or a
// product with its own policy (then Product is set).
type Path struct {
	Name    string // of its part of the test
	Serve   Serve
	Product Product
	// TLS is the configuration of clients, without their ALPN. Nil means no TLS.
	TLS *tls.Config

	// NetHTTP is set if net/http's own server serves HTTP/1.1. After an early answer it reads at most 256 KiB of the client's
	// body, and closes the connection half a second later.
	NetHTTP bool

	// The other fields describe how a product differs from package proxy.

	// Proxies is the number of proxies in the path. Each adds its peer to X-Forwarded-For. 0 means one.
	Proxies int
	// Adds are the lines that the product adds to the head of a request before X-Forwarded-For, in their order.
	Adds []string
	// SameProto is set if requests reach the app in the client's protocol, if the app supports that.
	SameProto bool
	// Front and Back describe the proxies next to the client and next to the app.
	Front, Back Self
}

// Self has the texts by which a proxy identifies itself.
type Self struct {
	Name        string // in Proxy-Status
	TimeoutText string // the body of a 504
}

// Serve runs an implementation with c on a loopback port, for HTTP/1.1 and HTTP/2, until the test ends, and returns its
// address. It fails the test if that is impossible, or if a request is in progress at the end.
type Serve func(t testing.TB, c proxy.Config) (addr string)

// Product runs a product with the setting s until the test ends, and returns its address when it is ready for requests.
type Product func(t testing.TB, s Setting) (addr string)

// Setting is the configuration of a product that a case needs.
type Setting struct {
	App   string      // the app's address
	Proto proxy.Proto // the protocol to the app; SameProto if the path has no choice
	Limit int         // requests that the app gets at once; 0: no limit
	// Watch must wrap one of the product's policies, except for probes: the one next to the client if AtFront is set, else the
	// one next to the app. The same policy applies the Timeouts.
	Watch    func(proxy.Policy) proxy.Policy
	AtFront  bool
	Timeouts proxy.Timeouts
}

// own describes the path's own implementation.
var own = Self{Name: "test-proxy", TimeoutText: proxy.DefaultTimeoutText}

// withDefaults replaces zero values by their defaults.
func (p Path) withDefaults() Path {
	p.Proxies = max(p.Proxies, 1)
	if p.Product == nil {
		p.Front, p.Back = own, own
	}
	return p
}

// both are the protocols of clients.
var both = []proxy.Proto{proxy.HTTP1, proxy.HTTP2}

// protos are the protocols of clients that reach an app which supports only the protocol app.
func (p Path) protos(app proxy.Proto) []proxy.Proto {
	if p.SameProto && app == proxy.HTTP2 {
		return []proxy.Proto{app} // the default protocol to an app is HTTP/1.1
	}
	return both
}

// reaches reports whether clients of proto reach an app that supports only the protocol app.
func (p Path) reaches(app, proto proxy.Proto) bool { return slices.Contains(p.protos(app), proto) }

func (p Path) scheme() string {
	if p.TLS != nil {
		return "https"
	}
	return "http"
}

// clientTLS is p.TLS for a client of one protocol at host.
func (p Path) clientTLS(host string, proto proxy.Proto) *tls.Config {
	c := p.TLS.Clone()
	c.ServerName, c.NextProtos = cmp.Or(c.ServerName, host), []string{"http/1.1"}
	if proto == proxy.HTTP2 {
		c.NextProtos = []string{"h2"}
	}
	return c
}
