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

// Main is a queue-proxy as a program: it reads the environment, sets up logging and runs until ctx ends. It is what
// cmd/queue-proxy does, and what a program calls that brings extensions (see the options) or is several things at once.
// Its error is for the screen, one line for each variable that is wrong; what goes on later is logged to stderr, or
// where SERVING_LOGGING_CONFIG says. The request log goes to stdout.
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
	defer func() { _ = log.Sync() }() // it fails on terminals

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
