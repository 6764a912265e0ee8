package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// maxReconnect is the longest pause between two attempts to reach the autoscaler. It is short since a revision may have to
// be scaled from zero the moment the autoscaler is back.
const maxReconnect = 2 * time.Second

// server is the composed program: its ports are open, and serve starts to serve them.
type server struct {
	o         options
	log       *zap.Logger
	ports     *ports
	tls       *tls.Config // of ports.tls
	activator *activator.Activator
	source    activator.Source
	sender    *metrics.StatSender // nil: no autoscaler
	front     *proxy.Engine
}

// compose makes a server; it adds the settings of o to those in c.
func compose(o options, c activator.Config, source activator.Source, p *ports, log *zap.Logger) (*server, error) {
	s := &server{o: o, log: log, ports: p, source: source}
	c.PodName, c.PodIP, c.ClusterDomain = o.podName, o.podIP, o.clusterDomain
	c.ProbeTimeout, c.ProbeFrequency = o.probeTimeout, o.probeFrequency
	c.MaxIdleConns, c.MaxIdleConnsPerHost = o.maxIdleConns, o.maxIdleConnsPerHost
	c.MaxWaiting, c.MaxWaitingBytes = int(o.limits.Waiting), int64(o.limits.WaitingBytes)
	c.RevisionMaxWaiting, c.Proxies = int(o.limits.RevisionWaiting), o.limits.Proxies
	c.ClassicMetrics, c.CookieKey = o.classicMetrics, o.cookieKey
	var err error
	if o.autoscaler != "" {
		if s.sender, err = metrics.NewStatSender(metrics.StatSenderConfig{URL: o.autoscaler, MaxBackoff: maxReconnect, OnState: s.logSender}); err != nil {
			return nil, err
		}
		c.Reporter = s.sender
	}
	if s.activator, err = activator.New(c, log); err != nil {
		return nil, err
	}
	s.front = s.activator.Engine(o.limits.Server(proxy.ServerConfig{ErrorLog: logging.Servers(log), FreeMemory: debug.FreeOSMemory}))
	return s, nil
}

func (s *server) logSender(connected bool, err error) {
	switch {
	case connected:
		s.log.Info("autoscaler connected", zap.String("url", s.o.autoscaler))
	case err != nil:
		s.log.Warn("autoscaler not connected", zap.String("url", s.o.autoscaler), zap.Error(err))
	}
}

// serve serves until a signal comes or something fails, then shuts down and waits for it. The end of ctx has the effect of
// two signals.
func (s *server) serve(ctx context.Context, signals <-chan os.Signal) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, life := errgroup.WithContext(life)
	g.Go(func() error { return s.activator.Run(life, s.source) })
	if s.sender != nil {
		g.Go(func() error { return s.sender.Run(life) })
	}
	for _, l := range s.listeners() {
		g.Go(func() error { return served(s.front.Serve(l)) })
	}
	g.Go(func() error {
		defer cancel()
		s.end(ctx, life, signals)
		return nil
	})
	return errors.Join(g.Wait(), s.activator.Close())
}

func (s *server) listeners() []net.Listener {
	if s.ports.tls == nil {
		return s.ports.requests
	}
	return append([]net.Listener{proxy.NewTLSListener(s.ports.tls, s.tls)}, s.ports.requests...)
}

// end waits for a signal or the end of ctx, drains, and shuts down; it shuts down at once when life ends, after a failure.
func (s *server) end(ctx, life context.Context, signals <-chan os.Signal) {
	select {
	case sig := <-signals:
		s.log.Info("ending", zap.Stringer("signal", sig), zap.Duration("drainFor", s.o.drain))
	case <-ctx.Done():
	case <-life.Done():
	}
	s.activator.FailProbes()
	t := time.NewTimer(s.o.drain)
	defer t.Stop()
	select {
	case <-t.C:
	case <-signals:
	case <-ctx.Done():
	case <-life.Done():
	}
	s.shutdown()
}

// shutdown waits for requests in progress, for -shutdown at most, then closes all connections and ports.
func (s *server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.shutdown)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- s.activator.Drain(ctx) }() // sends Connection: close, and waits for upgraded connections too
	err := errors.Join(s.front.Shutdown(ctx), <-drained)
	if err != nil {
		s.log.Warn("requests in progress were cut off", zap.Duration("after", s.o.shutdown), zap.Error(err))
	}
	_ = s.front.Close()
	_ = s.ports.close()
}
