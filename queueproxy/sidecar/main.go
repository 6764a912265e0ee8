package sidecar

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// Main runs a queue-proxy as a program: it reads the environment, sets up logging and runs until ctx ends. cmd/queue-proxy
// calls it, and so does a program that adds extensions (see the options) or has other tasks too. Main does not log the error
// that it returns, which has one line for each variable that is wrong. The log goes to stderr, unless SERVING_LOGGING_CONFIG
// names other outputs, and the request log to stdout.
func Main(ctx context.Context, opts ...Option) error {
	started := time.Now()
	o := newOptions(opts)
	e := &program.Environment{Lookup: o.lookup}
	log := loggerFrom(e, o.stderr)
	if o.logger != nil {
		log = o.logger
	}
	seen := observedFrom(e)
	c := configFrom(e, seen)
	if err := errors.Join(e.Bad...); err != nil {
		return err
	}
	log = log.Named("queueproxy").With(
		zap.String("knative.dev/key", c.Identity.Namespace+"/"+c.Identity.Revision),
		zap.String("knative.dev/pod", c.Identity.Pod))
	defer func() { _ = log.Sync() }() // Sync fails on terminals

	if o.standardLog {
		defer logging.Standard(log)()
	}
	c.Registry = prometheus.NewRegistry()
	telemetry, err := newTelemetry(seen, c, o.stdout, log)
	if err != nil {
		return err
	}
	if seen.wraps() {
		o.wrapPolicies = append(o.wrapPolicies, telemetry.Wrap)
	}
	o.into(&c)
	p, err := queueproxy.New(c, log)
	if err != nil {
		return err
	}
	if err := p.Listen(); err != nil {
		return err
	}
	log.Info("listening", zap.Any("addresses", p.Addrs()), zap.String("app", c.UserAddr),
		zap.Int("containerConcurrency", c.ContainerConcurrency), zap.Duration("startup", time.Since(started)))
	seen.turnOn(telemetry, log)
	err = p.Run(ctx)
	telemetry.Close()
	if err != nil {
		return err
	}
	log.Info("ended")
	return nil
}
