package queueproxy

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/requestlog"
	"github.com/sluice-proxy/sluice/proxy"
)

// flushTime is for what is left to be written and sent at the end. It comes after the drain, whose limit is the pod's
// grace period; a drain that takes all of that leaves no time for it.
const flushTime = 2 * time.Second

// telemetry is what Main puts around a Proxy: the request log, traces and metrics that are pushed.
type telemetry struct {
	requests *requestlog.Log // nil: off
}

// newTelemetry makes what o asks for and has c use it. A template that can't be used leaves the request log off, as in
// Knative: it comes from a configuration of the whole cluster, whose pods should start all the same.
func newTelemetry(o observed, c *Config, out io.Writer, log *zap.Logger) (*telemetry, error) {
	t := &telemetry{}
	for _, line := range o.Ignored {
		log.Warn(line)
	}
	for _, what := range o.notDone {
		log.Warn("asked for and not done: " + what)
	}
	if o.RequestLog.Enabled {
		if err := t.logRequests(o.RequestLog, c.Identity, out, log); err != nil {
			return nil, err
		}
	}
	c.WrapPolicy = around(c.WrapPolicy, t.wrap)
	return t, nil
}

func (t *telemetry) logRequests(r observability.RequestLog, id Identity, out io.Writer, log *zap.Logger) error {
	revision := requestlog.Revision{
		Name: id.Revision, Namespace: id.Namespace, Service: id.Service, Configuration: id.Configuration,
		PodName: id.Pod, PodIP: id.PodIP,
	}
	l, err := requestlog.New(requestlog.Config{
		Out:      out,
		Revision: func(*proxy.Request) requestlog.Revision { return revision },
		Probe:    func(req *proxy.Request) bool { return IsProbe(req.Header) },
		Failed:   func(err error) { log.Error("the template of the request log fails", zap.Error(err)) },
	})
	if err != nil {
		return err
	}
	if err := l.Set(r.Template, true, r.Probes); err != nil {
		log.Error("no request log: its template can't be used", zap.Error(err))
		return nil
	}
	t.requests = l
	return nil
}

// wrap puts the request log around everything, so that it sees what the client sent and got.
func (t *telemetry) wrap(p proxy.Policy) proxy.Policy {
	if t.requests != nil {
		p = t.requests.Wrap(p)
	}
	return p
}

// close writes and sends what is left, for flushTime at most.
func (t *telemetry) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	var errs []error
	if t.requests != nil {
		errs = append(errs, t.requests.Close(ctx))
	}
	return errors.Join(errs...)
}

// around wraps in inner, which may be nil, and then in outer.
func around(inner, outer func(proxy.Policy) proxy.Policy) func(proxy.Policy) proxy.Policy {
	if inner == nil {
		return outer
	}
	return func(p proxy.Policy) proxy.Policy { return outer(inner(p)) }
}
