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

// Option changes what Main runs. If several options wrap the same thing, a later one is called before an earlier one.
type Option func(*options)

type options struct {
	lookup       func(string) (string, bool)
	stdout       io.Writer
	stderr       io.Writer
	logger       *zap.Logger // nil: the one that the environment configures
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

// WithEnv makes Main read variables from lookup instead of os.LookupEnv.
func WithEnv(lookup func(name string) (string, bool)) Option {
	return func(o *options) { o.lookup = lookup }
}

// WithStdout makes Main write the request log to w instead of os.Stdout.
func WithStdout(w io.Writer) Option { return func(o *options) { o.stdout = w } }

// WithStderr makes Main log to w instead of os.Stderr, unless SERVING_LOGGING_CONFIG names files.
func WithStderr(w io.Writer) Option { return func(o *options) { o.stderr = w } }

// WithLogger makes Main log to log. Main checks the environment's logging variables but does not use them.
func WithLogger(log *zap.Logger) Option { return func(o *options) { o.logger = log } }

// WithPolicy wraps the queue-proxy's policy: the policy that wrap returns gets each request and each probe (see
// queueproxy.IsProbe) first, and may call the inner one or not. It sees heads, waits and results but no bytes of bodies, and
// is the extension that costs least. A request that never reaches the inner policy counts in no statistics.
func WithPolicy(wrap func(proxy.Policy) proxy.Policy) Option {
	return func(o *options) { o.wrapPolicies = append(o.wrapPolicies, wrap) }
}

// WithHandler wraps the handling of requests as an http.Handler, for extensions that exist in that form: the handler that
// wrap returns gets every request except probes, before limit and queue. net/http then serves all requests, which is slower
// than with WithPolicy; Main logs it. A request that the handler answers by itself counts in no statistics. The handler must
// pass on its http.ResponseWriter itself, or one that has an Unwrap method (see http.ResponseController): otherwise upgrades
// and streaming don't work.
func WithHandler(wrap func(http.Handler) http.Handler) Option {
	return func(o *options) { o.wrapHandlers = append(o.wrapHandlers, wrap) }
}

// WithDial wraps the dialling of the app, for requests and for those of its probes that go to the same address. The
// queue-proxy then dials every few milliseconds to find out when the app listens, instead of watching the port.
func WithDial(wrap func(next queueproxy.DialFunc) queueproxy.DialFunc) Option {
	return func(o *options) { o.wrapDials = append(o.wrapDials, wrap) }
}

// WithFreeMemory makes Main call free when much of the process's memory could be freed; see proxy.ServerConfig. A program
// without other tasks should pass debug.FreeOSMemory.
func WithFreeMemory(free func()) Option { return func(o *options) { o.freeMemory = free } }

// WithStandardLog redirects the standard library's log (package log) to Main's log while Main runs, one line in ten seconds
// at most. net/http's client logs there what an app does wrong. The option is for programs without other tasks.
func WithStandardLog() Option { return func(o *options) { o.standardLog = true } }

// into sets the fields of c that the options change.
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

// chain makes one wrapper of many; the last one is the outermost.
func chain[T any](wraps []func(T) T) func(T) T {
	return func(t T) T {
		for _, wrap := range wraps {
			t = wrap(t)
		}
		return t
	}
}
