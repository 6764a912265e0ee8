package proxytest

import (
	"cmp"
	"crypto/tls"
	"slices"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// Path is one way from a client to an app: an implementation of the seam, whose policy is the case's, or a product,
// whose policy is its own; so either Serve or Product is set.
type Path struct {
	Name    string // of its part of the test
	Serve   Serve
	Product Product
	// TLS is how clients speak to it, with the ALPN of each; nil: in the clear.
	TLS *tls.Config

	// NetHTTP says that net/http's own server takes requests of HTTP/1.1. It reads 256 KiB at most of what a client sends
	// behind an early answer, and closes the connection half a second later, whatever comes.
	NetHTTP bool

	// What follows is how a product differs from package proxy by itself.

	// Proxies is how many there are, one behind the other: each adds its peer to X-Forwarded-For. 0: one.
	Proxies int
	// Adds are lines that the head of a request gets on its way, in their order, before X-Forwarded-For.
	Adds []string
	// SameProto says that the app is spoken to in the protocol of the client, as far as it speaks it.
	SameProto bool
	// Front and Back are how the proxies next to the client and next to the app speak of themselves.
	Front, Back Self
}

// Self is how a proxy speaks of itself.
type Self struct {
	Name        string // in Proxy-Status
	TimeoutText string // the body of a 504
}

// Serve runs an implementation under c on a loopback port, HTTP/1.1 and HTTP/2 on it, until the test ends, and returns
// its address. It fails the test if it can't, and if it ends with a request in progress.
type Serve func(t testing.TB, c proxy.Config) (addr string)

// Product runs a product by s until the test ends, and returns its address for requests, which it is ready for.
type Product func(t testing.TB, s Setting) (addr string)

// Setting is what a case asks of a product.
type Setting struct {
	App   string      // its address
	Proto proxy.Proto // that the app is spoken to in; SameProto where the path has no choice
	Limit int         // requests that the app gets at once; 0: no limit
	// Watch is to be put around one of the product's policies, probes aside; that one has the Timeouts too. It is the
	// one next to the client if AtFront, else the one next to the app.
	Watch    func(proxy.Policy) proxy.Policy
	AtFront  bool
	Timeouts proxy.Timeouts
}

// own is the path's implementation as it speaks of itself.
var own = Self{Name: "test-proxy", TimeoutText: proxy.DefaultTimeoutText}

// withDefaults fills in what the zero values stand for.
func (p Path) withDefaults() Path {
	p.Proxies = max(p.Proxies, 1)
	if p.Product == nil {
		p.Front, p.Back = own, own
	}
	return p
}

// both are the protocols of clients.
var both = []proxy.Proto{proxy.HTTP1, proxy.HTTP2}

// protos are the protocols in which clients reach an app that speaks nothing but app.
func (p Path) protos(app proxy.Proto) []proxy.Proto {
	if p.SameProto && app == proxy.HTTP2 {
		return []proxy.Proto{app} // HTTP/1.1 is spoken to everybody who isn't told to be otherwise
	}
	return both
}

// reaches reports whether clients of proto reach an app that speaks nothing but app.
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
