package otlp

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

// The pause between attempts is minPause at first and doubles up to maxPause; no attempt begins after maxRetry.
const (
	minPause = time.Second
	maxPause = 15 * time.Second
	maxRetry = time.Minute
)

// maxAnswer bounds what is read of a collector's response.
const maxAnswer = 1 << 20

// client sends one kind of message to a collector.
type client struct {
	config    Config
	url       string
	transport *http.Transport
	frame     func(message []byte, zip bool) []byte
	// outcome reads a response. After a *retryable error the message may be sent again.
	outcome func(*http.Response) error
}

// retryable is a failure after which the same message may be sent once more.
type retryable struct {
	error
	after time.Duration // at least
}

func (e *retryable) Unwrap() error { return e.error }

// newClient makes a client for a gRPC method's path; over HTTP the endpoint has the path.
func newClient(c Config, method string) (*client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	tls, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	cl := &client{config: c, url: c.Endpoint, frame: plain, outcome: httpOutcome}
	cl.transport = &http.Transport{
		TLSClientConfig: tls, Protocols: new(http.Protocols), Proxy: http.ProxyFromEnvironment,
		TLSHandshakeTimeout: c.Timeout, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}
	cl.transport.Protocols.SetHTTP2(true)
	if c.Protocol == HTTP {
		cl.transport.Protocols.SetHTTP1(true)
		return cl, nil
	}
	cl.transport.Protocols.SetUnencryptedHTTP2(true)
	cl.transport.Proxy = nil
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	cl.url = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: method}).String()
	cl.frame, cl.outcome = framed, grpcOutcome
	return cl, nil
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// send sends m, again if need be, until the collector accepts or rejects it, ctx ends, or limit has passed.
func (c *client) send(ctx context.Context, m message, limit time.Duration) error {
	if c.config.Gzip {
		var err error
		if m, err = zipped(m); err != nil {
			return err
		}
	}
	body := c.frame(m, c.config.Gzip)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := c.attempt(ctx, body)
		again, ok := errors.AsType[*retryable](err)
		if !ok {
			return err
		}
		wait := max(pause/2+rand.N(pause/2), again.after)
		if end, _ := ctx.Deadline(); time.Until(end) <= wait {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

func (c *client) attempt(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range c.config.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "sluice-otlp")
	switch {
	case c.config.Protocol == GRPC:
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
		req.Header.Set("Grpc-Timeout", fmt.Sprintf("%dm", c.config.Timeout.Milliseconds()))
		if c.config.Gzip {
			req.Header.Set("Grpc-Encoding", "gzip")
		}
	default:
		req.Header.Set("Content-Type", "application/x-protobuf")
		if c.config.Gzip {
			req.Header.Set("Content-Encoding", "gzip")
		}
	}
	// Not through an http.Client: it would follow redirects, with the headers.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return &retryable{error: err}
	}
	defer resp.Body.Close()
	return c.outcome(resp)
}

func plain(message []byte, _ bool) []byte { return message }

func zipped(message []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(message); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
