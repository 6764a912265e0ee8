package main

import (
	"context"
	"errors"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/activator/static"
	"go.uber.org/zap"
)

// runFromFile runs with the revisions of a file.
func runFromFile(ctx context.Context, signals <-chan os.Signal, o options, log *zap.Logger) error {
	source, err := static.Open(o.config, log)
	if err != nil {
		return err
	}
	var c activator.Config
	var registry *prometheus.Registry
	if o.metricsPort >= 0 {
		registry = newRegistry()
		c.Registerer = registry
	}
	p := &ports{bind: o.bind, log: log}
	s, err := compose(o, c, source, p, log)
	if err != nil {
		return err
	}
	if err := p.openForFile(o, registry); err != nil {
		return errors.Join(err, p.close(), s.activator.Close())
	}
	return s.serve(ctx, signals)
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
