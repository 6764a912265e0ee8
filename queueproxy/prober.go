package queueproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// userAgent is sent in probes. Its prefix makes apps and service meshes treat them as the kubelet's.
const userAgent = "kube-probe/sluice"

// maxProbeBody is how much of a response body is read, so that the app's write doesn't fail. The kubelet reads as much.
const maxProbeBody = 10 << 10

var errNoHandler = errors.New("it says no way to ask")

// prober carries out a Probe. It is safe for concurrent use.
type prober struct {
	Probe
	dial   DialFunc
	http1  *http.Transport
	http2  *http.Transport // with prior knowledge; nil if HTTP/2 isn't tried
	speaks atomic.Int32    // 1 or 2, the HTTP version of the app's first response; 0: not known yet
}

func newProber(p Probe, dial DialFunc, detectHTTP2 bool) *prober {
	p.Timeout = cmp.Or(p.Timeout, time.Second)
	pr := &prober{Probe: p, dial: dial}
	transport := func(two bool) *http.Transport {
		var protocols http.Protocols
		protocols.SetHTTP1(!two)
		protocols.SetUnencryptedHTTP2(two)
		return &http.Transport{
			DialContext: dial,
			Protocols:   &protocols,
			// The kubelet doesn't verify either: no certificate is for a pod's address.
			TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
			DisableKeepAlives:  true,
			DisableCompression: true,
		}
	}
	switch p.Kind {
	case ProbeHTTP:
		pr.http1 = transport(false)
		if detectHTTP2 && !p.TLS {
			pr.http2 = transport(true)
		}
	case ProbeGRPC:
		pr.http2 = transport(true)
	}
	return pr
}

// Try probes once. It returns nil if the probe succeeds, else an error that describes the probe and how it failed. It
// blocks until the response, until p.Timeout has passed, or until ctx ends. p has to be valid.
func (p Probe) Try(ctx context.Context) error {
	pr := newProber(p, new(net.Dialer).DialContext, false)
	defer pr.close()
	if err := pr.try(ctx); err != nil {
		return errors.New(pr.describe(err))
	}
	return nil
}

// try probes once; nil means that the app is ready. It blocks for Timeout at most.
func (p *prober) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	switch p.Kind {
	case ProbeHTTP:
		return p.tryHTTP(ctx)
	case ProbeTCP:
		c, err := p.dial(ctx, "tcp", p.Addr)
		if err != nil {
			return err
		}
		return c.Close()
	case ProbeGRPC:
		return p.tryGRPC(ctx)
	}
	return errNoHandler
}

func (p *prober) tryHTTP(ctx context.Context) error {
	speaks := p.speaks.Load()
	if p.http2 != nil && speaks != 1 {
		err := p.get(ctx, p.http2, 2)
		if speaks == 2 || p.speaks.Load() == 2 || errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
	}
	return p.get(ctx, p.http1, 1)
}

// get probes over one version of HTTP, and remembers the version if there is any response.
func (p *prober) get(ctx context.Context, t *http.Transport, version int32) error {
	req, err := p.request()
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req.WithContext(ctx)) // a Client would follow redirects
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // the status is known
	p.speaks.Store(version)
	_, _ = io.CopyN(io.Discard, resp.Body, maxProbeBody)
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

func (p Probe) request() (*http.Request, error) {
	scheme := "http"
	if p.TLS {
		scheme = "https"
	}
	req, err := http.NewRequest(http.MethodGet, scheme+"://"+p.Addr+cmp.Or(p.Target, "/"), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*") // as the kubelet does
	for name, values := range p.Header {
		switch http.CanonicalHeaderKey(name) {
		case "Host":
			req.Host = values[0]
		case "User-Agent": // ours says that this is a probe
		default:
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return req, nil
}

func (p *prober) close() {
	for _, t := range []*http.Transport{p.http1, p.http2} {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}
