package sidecar

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/profiling"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/queueenv"
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
	log := queueenv.Logger(e, o.stderr)
	if o.logger != nil {
		log = o.logger
	}
	seen := observedFrom(e)
	c := configFrom(e, seen)
	if err := errors.Join(e.Bad...); err != nil {
		return err
	}
	log = queueenv.Named(log, c.Identity)
	defer func() { _ = log.Sync() }() // Sync fails on terminals

	if o.standardLog {
		defer logging.Standard(log)()
	}
	c.Registry = prometheus.NewRegistry()
	c.Pages = queueproxy.Pages{Metrics: promhttp.HandlerFor(c.Registry, promhttp.HandlerOpts{}), Profiles: profiling.Handler()}
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

// ConfigFromEnv reads the variables that WriteUsage lists through lookup, a function like os.LookupEnv. Its error has one
// line for each variable that is missing or malformed: the name, the value and the expectation. It does not repeat a value
// that may hold a secret, as JSON may. Mistakes in the configuration of metrics, traces, logs and profiles are no error but
// are listed in queueproxy.Config.Ignored.
//
// The Config does not include the request log, traces, metrics that are pushed and queueproxy.Config.Pages, which Main sets up.
func ConfigFromEnv(lookup func(string) (string, bool)) (queueproxy.Config, error) {
	e := &program.Environment{Lookup: lookup}
	c := configFrom(e, observedFrom(e))
	if err := errors.Join(e.Bad...); err != nil {
		return queueproxy.Config{}, err
	}
	return c, nil
}

func configFrom(e *program.Environment, o observed) queueproxy.Config {
	c := queueenv.Config(e)
	o.into(&c, e)
	return c
}
