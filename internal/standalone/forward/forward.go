// Package forward is an HTTP proxy for apps that call each other by the names that they have in a cluster.
//
//	app with HTTP_PROXY ──► Proxy ─┬─ http://hello.default.svc.cluster.local ──► ingress
//	                               └─ http://any.other.host ──► that host, or the proxy of this process's own HTTP_PROXY
//
//	client ──► http://PROXY/hello.default.svc.cluster.local/path ──► ingress
//
// It takes requests for http:// URLs in absolute form (RFC 9112 §3.2.2), on the loopback interface only. For clients that use no
// proxy, a URL of the ingress is also a path of its own: see [Proxy.Direct]. It refuses CONNECT, so it
// is no way to HTTPS. It changes no field and adds none, so that an app gets what it would get in a cluster.
//
// # Concurrency
//
// A Proxy is safe for concurrent use. Serve runs until Close.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Config of a Proxy.
type Config struct {
	// Ingress is the address, host:port, that gets requests for the names that Serves reports. Both are required.
	Ingress string
	Serves  func(host string) bool
}

// Proxy is a proxy. Make one with New.
type Proxy struct {
	config    Config
	listener  net.Listener
	server    http.Server
	transport http.Transport
	reverse   httputil.ReverseProxy
	cancel    context.CancelFunc // of all requests
}

// New returns a Proxy that listens on a free port of 127.0.0.1.
func New(c Config) (*Proxy, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{config: c, listener: l, cancel: cancel}
	p.server = http.Server{
		Handler: p, ReadHeaderTimeout: time.Minute, IdleTimeout: 2 * time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	p.transport = http.Transport{
		Proxy:              p.upstreamProxy,
		DialContext:        (&net.Dialer{Timeout: 10 * time.Second, ControlContext: p.notItself}).DialContext,
		DisableCompression: true,
		IdleConnTimeout:    30 * time.Second,
	}
	p.reverse = httputil.ReverseProxy{Rewrite: p.rewrite, Transport: &p.transport, FlushInterval: -1, ErrorHandler: failed}
	return p, nil
}

// URL returns the value of HTTP_PROXY for clients.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// Direct returns the URL by which a client without a proxy reaches an http:// URL of the ingress; any other URL is returned as it is.
func (p *Proxy) Direct(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" || !p.config.Serves(u.Host) {
		return to
	}
	return p.URL() + "/" + strings.TrimPrefix(to, "http://")
}

// direct makes a request for a URL of Direct one for the URL that it stands for; false: it is none.
func (p *Proxy) direct(r *http.Request) (*http.Request, bool) {
	host, _, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if r.URL.IsAbs() || !p.config.Serves(host) {
		return nil, false
	}
	u, err := url.Parse("http://" + strings.TrimPrefix(r.URL.RequestURI(), "/"))
	if err != nil {
		return nil, false
	}
	to := r.Clone(r.Context())
	to.URL, to.Host, to.RequestURI = u, host, u.String()
	return to, true
}

// Serve serves until Close.
func (p *Proxy) Serve() error {
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends all requests and connections; it waits a second for the requests.
func (p *Proxy) Close() error {
	p.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if err != nil {
		err = p.server.Close()
	}
	p.transport.CloseIdleConnections()
	return err
}

// ServeHTTP forwards a request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if to, ok := p.direct(r); ok {
		p.reverse.ServeHTTP(w, to)
		return
	}
	const what = "the quickstart's proxy for the cluster's names forwards http:// URLs only"
	switch {
	case r.Method == http.MethodConnect:
		http.Error(w, fmt.Sprintf("CONNECT %s: %s: unset HTTPS_PROXY and ALL_PROXY", r.Host, what), http.StatusMethodNotAllowed)
	case r.URL.Scheme != "http" || r.URL.Host == "":
		http.Error(w, fmt.Sprintf("%s: %s: set HTTP_PROXY to %s", r.URL, what, p.URL()), http.StatusBadRequest)
	default:
		p.reverse.ServeHTTP(w, r)
	}
}

// rewrite directs a request to its host, or to the ingress, and undoes what ReverseProxy changes.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	if p.config.Serves(r.In.Host) {
		r.Out.URL.Host = p.config.Ingress
	}
	r.Out.Host = r.In.Host
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// upstreamProxy returns the proxy that this process's own environment names for a request.
func (p *Proxy) upstreamProxy(r *http.Request) (*url.URL, error) {
	if r.URL.Host == p.config.Ingress {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

var errItself = errors.New("that is this proxy itself")

// notItself refuses a connection to p, which would be a loop.
func (p *Proxy) notItself(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if ip := to.Addr().Unmap(); err == nil && int(to.Port()) == p.listener.Addr().(*net.TCPAddr).Port && (ip.IsLoopback() || ip.IsUnspecified()) {
		return errItself
	}
	return nil
}

// failed answers a request that could not be forwarded.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	http.Error(w, fmt.Sprintf("%s: %v", r.URL, err), http.StatusBadGateway)
}
