package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// Defaults of Config.
const (
	DefaultTimeoutText         = "request timeout" // the text of Knative's queue-proxy, without a newline
	DefaultDialTimeout         = 5 * time.Second
	DefaultIdleConnTimeout     = 90 * time.Second
	DefaultMaxIdleConns        = 1000 // Knative's MAX_IDLE_PROXY_CONNS
	DefaultMaxIdleConnsPerHost = 100  // Knative's MAX_IDLE_PROXY_CONNS_PER_HOST
	DefaultExpectTimeout       = time.Second
	DefaultRetryBurst          = 100
)

// Bounds that no option moves.
const (
	maxAttempts  = 3         // of one request, the first included
	maxHeld      = 64 << 10  // bytes of a body that are held for another attempt
	maxAnswer    = 256 << 10 // bytes of the head of an answer
	copyBuffer   = 32 << 10
	retryPerSent = 5 // one retry for so many requests: 20 %
)

// holds says whether all of a body of that length is kept for another attempt.
func holds(length int64) bool { return 0 <= length && length <= maxHeld }

// Config of a Handler. The zero value of each field but Policy and Name is its documented default.
type Config struct {
	Policy Policy // required
	// Name is the proxy's name in the Proxy-Status field (RFC 9209 §2); required, printable ASCII.
	Name string
	// TimeoutText is the body of a 504; DefaultTimeoutText when empty. No newline is added.
	TimeoutText string
	// EndToEnd are fields that are not removed although a client or an app names them in Connection: those that carry the
	// proxies' own protocol.
	EndToEnd []string
	// Private are fields that only proxies send to each other. They are not passed on in the head of a response, be it final,
	// interim or a 101's, nor in any trailers. The policy sees them in a final head. From the head of a request the policy
	// has to remove those that aren't for the upstream.
	Private []string
	// Dial opens connections to upstreams, within DialTimeout. Nil: a net.Dialer. A *net.TCPConn or *net.UnixConn is read and
	// written by direct system calls; a connection of any other type, also one that embeds or wraps those, by its own
	// methods, which must support deadlines. If it has a SyscallConn, the proxy peeks at the socket, without reading, to see
	// whether an unused connection has ended or received unexpected bytes.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTimeout bounds a dial and, by itself, a TLS handshake. 0: DefaultDialTimeout.
	DialTimeout time.Duration
	// IdleConnTimeout is how long a connection to an upstream is kept unused; an app's `Keep-Alive: timeout` shortens it.
	// 0: DefaultIdleConnTimeout.
	IdleConnTimeout time.Duration
	// MaxIdleConns and MaxIdleConnsPerHost bound the unused HTTP/1.1 connections. 0: the defaults; negative: none.
	MaxIdleConns, MaxIdleConnsPerHost int
	// ExpectTimeout is how long the body of a request with `Expect: 100-continue` waits for a response of the upstream before it
	// is sent anyway (RFC 9110 §10.1.1: not indefinitely). 0: DefaultExpectTimeout.
	ExpectTimeout time.Duration
	// RetryBurst is how many retries may be made beyond one per five requests: each request adds a fifth of a retry, up to this
	// many. 0: DefaultRetryBurst; negative: none. A retry after a response that says that the request was not processed
	// (Upstream.NotProcessed) is always possible and is not counted.
	RetryBurst int
	// OnUnwatched, when not nil, is called once: when a request first waits on a connection that can't be watched, so that it
	// goes unnoticed if the client disconnects meanwhile. In net/http's server that is a request with an unread body where
	// http.Server.ConnContext is not ConnContext; in an Engine any request whose connection is no socket, or for which there
	// is no descriptor to watch it with. It must not block.
	OnUnwatched func()
}

// Validate reports the first field that can't be used.
func (c *Config) Validate() error {
	switch {
	case c.Policy == nil:
		return errors.New("proxy: Config.Policy is nil")
	case c.Name == "":
		return errors.New("proxy: Config.Name is empty")
	case !printable(c.Name):
		return fmt.Errorf("proxy: Config.Name %q is not printable ASCII", c.Name)
	case c.DialTimeout < 0, c.IdleConnTimeout < 0, c.ExpectTimeout < 0:
		return errors.New("proxy: a negative duration in Config")
	}
	return nil
}

// withDefaults returns a copy of c that has no zero values left.
func (c Config) withDefaults() Config {
	c.TimeoutText = cmp.Or(c.TimeoutText, DefaultTimeoutText)
	c.DialTimeout = cmp.Or(c.DialTimeout, DefaultDialTimeout)
	c.IdleConnTimeout = cmp.Or(c.IdleConnTimeout, DefaultIdleConnTimeout)
	c.MaxIdleConns = cmp.Or(c.MaxIdleConns, DefaultMaxIdleConns)
	c.MaxIdleConnsPerHost = cmp.Or(c.MaxIdleConnsPerHost, DefaultMaxIdleConnsPerHost)
	c.ExpectTimeout = cmp.Or(c.ExpectTimeout, DefaultExpectTimeout)
	c.RetryBurst = cmp.Or(c.RetryBurst, DefaultRetryBurst)
	c.EndToEnd = slices.Clone(c.EndToEnd)
	for i, name := range c.EndToEnd {
		c.EndToEnd[i] = http.CanonicalHeaderKey(name)
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c
}
