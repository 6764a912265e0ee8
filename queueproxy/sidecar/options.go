package sidecar

import (
	"io"
	"net"
	"net/http"
	"os"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// Option changes what Main runs. Of several that wrap the same thing the later ones are outside.
type Option func(*options)

type options struct {
	lookup       func(string) (string, bool)
	stdout       io.Writer
	stderr       io.Writer
	logger       *zap.Logger // nil: as the environment says
	wrapPolicies []func(proxy.Policy) proxy.Policy
	wrapHandlers []func(http.Handler) http.Handler
	wrapDials    []func(queueproxy.DialFunc) queueproxy.DialFunc
	freeMemory   func()
	standardLog  bool
}

func newOptions(all []Option) *options {
	o := &options{lookup: os.LookupEnv, stdout: os.Stdout, stderr: os.Stderr}
	for _, apply := range all {
		apply(o)
	}
	return o
}

// WithEnv has Main read variables from lookup, in the place of os.LookupEnv.
func WithEnv(lookup func(name string) (string, bool)) Option {
	return func(o *options) { o.lookup = lookup }
}

// WithStdout has Main write the request log to w, in the place of os.Stdout.
func WithStdout(w io.Writer) Option { return func(o *options) { o.stdout = w } }

// WithStderr has Main log to w, in the place of os.Stderr, unless SERVING_LOGGING_CONFIG names files.
func WithStderr(w io.Writer) Option { return func(o *options) { o.stderr = w } }

// WithLogger has Main log to log. The environment's logging variables are checked and otherwise unused.
func WithLogger(log *zap.Logger) Option { return func(o *options) { o.logger = log } }

// WithPolicy wraps the rules: what wrap returns sees each request and probe (IsProbe tells them apart) before the
// queue-proxy's own policy, which it may call or not. It touches heads, waits and results on whichever path moves the
// bytes, and so costs least. A request that never gets to the inner policy counts in no statistics.
func WithPolicy(wrap func(proxy.Policy) proxy.Policy) Option {
	return func(o *options) { o.wrapPolicies = append(o.wrapPolicies, wrap) }
}

// WithHandler wraps the handling of requests as an http.Handler, for extensions that exist in that form: what wrap
// returns gets every request but probes, before limit and queue. All requests are then served by net/http, and the log
// says so; WithPolicy has no such price. A request that the handler answers by itself counts in no statistics. Its
// http.ResponseWriter must be passed on as it is, or be reachable through an Unwrap method (http.ResponseController), or
// else upgrades and streaming don't work.
func WithHandler(wrap func(http.Handler) http.Handler) Option {
	return func(o *options) { o.wrapHandlers = append(o.wrapHandlers, wrap) }
}

// WithDial wraps the dialling of the app, for requests and for those of its probes that go to the same address. That
// something listens is then found out by dialling every few milliseconds, rather than by watching the port.
func WithDial(wrap func(next queueproxy.DialFunc) queueproxy.DialFunc) Option {
	return func(o *options) { o.wrapDials = append(o.wrapDials, wrap) }
}

// WithFreeMemory has Main call free when much of the process's memory could be freed; see proxy.ServerConfig. A program
// that does little besides gives debug.FreeOSMemory.
func WithFreeMemory(free func()) Option { return func(o *options) { o.freeMemory = free } }

// WithStandardLog has Main's log get what is written to that of the standard library (package log), one line in ten seconds
// at most, while Main runs: net/http's client writes there what an app does wrong. It is for a program that does little besides.
func WithStandardLog() Option { return func(o *options) { o.standardLog = true } }

// into puts what the options say into c.
func (o *options) into(c *queueproxy.Config) {
	c.Server.FreeMemory = o.freeMemory
	if len(o.wrapPolicies) > 0 {
		c.WrapPolicy = chain(o.wrapPolicies)
	}
	if len(o.wrapHandlers) > 0 {
		c.WrapHandler = chain(o.wrapHandlers)
	}
	if len(o.wrapDials) > 0 {
		c.Dial = chain(o.wrapDials)(new(net.Dialer).DialContext)
	}
}

// chain makes one wrapper of many; the last is outside.
func chain[T any](wraps []func(T) T) func(T) T {
	return func(t T) T {
		for _, wrap := range wraps {
			t = wrap(t)
		}
		return t
	}
}
