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
	DefaultTimeoutText         = "request timeout" // as Knative's queue-proxy says it, without a newline
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
	// Name is how the proxy calls itself in the Proxy-Status field (RFC 9209 §2); required, printable ASCII.
	Name string
	// TimeoutText is the body of a 504; DefaultTimeoutText when empty. No newline is added.
	TimeoutText string
	// EndToEnd are fields that no Connection option removes, be it a client's or an app's: those that carry the
	// proxy's own protocol.
	EndToEnd []string
	// Private are fields that only proxies say to each other. None of them is passed on in a head that comes from an
	// upstream, be it final, interim or a 101's, nor in trailers, be they of a request or of a response. The policy sees
	// them in a final head; of the head of a request it has to remove by itself what isn't for the upstream.
	Private []string
	// Dial makes connections to upstreams, within DialTimeout. nil: a net.Dialer. A *net.TCPConn or *net.UnixConn is read and
	// written by system calls of the proxy's own; a connection of any other type, also one that embeds or wraps those, by its
	// own methods, which must heed deadlines. If that has a SyscallConn, the proxy looks at the socket, and takes nothing:
	// whether an unused connection has ended, or got bytes that nobody asked for.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTimeout bounds a dial and, by itself, a TLS handshake. 0: DefaultDialTimeout.
	DialTimeout time.Duration
	// IdleConnTimeout is how long a connection to an upstream is kept unused; an app's `Keep-Alive: timeout` shortens it.
	// 0: DefaultIdleConnTimeout.
	IdleConnTimeout time.Duration
	// MaxIdleConns and MaxIdleConnsPerHost bound the unused HTTP/1.1 connections. 0: the defaults; negative: none.
	MaxIdleConns, MaxIdleConnsPerHost int
	// ExpectTimeout is how long the body of a request with `Expect: 100-continue` waits for the upstream's say before it is
	// sent anyway (RFC 9110 §10.1.1 tells not to wait for ever). 0: DefaultExpectTimeout.
	ExpectTimeout time.Duration
	// RetryBurst is how many retries may be made beyond one in five requests; so many fifths are saved at most. 0:
	// DefaultRetryBurst; negative: no retry at all, but for one after an answer by which the upstream says that it has not
	// processed the request (see Upstream.NotProcessed), which costs nothing.
	RetryBurst int
	// OnUnwatched, when not nil, is called once: when a request waits on a connection that can't be watched, so that its
	// client's leaving goes unnoticed meanwhile. In net/http's server that is one with an unread body where
	// http.Server.ConnContext is not ConnContext; in an Engine any, where the connection is no socket or the system has
	// no descriptor to watch it with. It must not block.
	OnUnwatched func()
}

// Validate tells the first thing that is wrong with c.
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
