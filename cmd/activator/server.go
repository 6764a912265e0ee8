package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/activator/static"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/proxy"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// maxReconnect is the longest pause between two attempts to reach the autoscaler: a revision may have to be scaled from
// zero the moment it is back.
const maxReconnect = 2 * time.Second

// server is the program, put together: it listens, and does not serve yet.
type server struct {
	o         options
	log       *zap.Logger
	activator *activator.Activator
	source    activator.Source
	sink      *metrics.Sink // nil: no autoscaler

	front    *http.Server // requests
	fronts   []net.Listener
	admin    []*http.Server // metrics, profiles
	admins   []net.Listener
	registry *prometheus.Registry
}

// listen puts the program together and opens its ports.
func listen(o options, log *zap.Logger) (*server, error) {
	s := &server{o: o, log: log}
	if err := s.compose(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *server) compose() error {
	source, err := static.Open(s.o.config, s.log)
	if err != nil {
		return err
	}
	s.source = source
	c := activator.Config{
		PodName: s.o.podName, PodIP: s.o.podIP, ClusterDomain: s.o.clusterDomain,
		ProbeTimeout: s.o.probeTimeout, ProbeFrequency: s.o.probeFrequency,
		MaxIdleConns: s.o.maxIdleConns, MaxIdleConnsPerHost: s.o.maxIdleConnsPerHost,
		ClassicMetrics: s.o.classicMetrics,
	}
	if s.o.autoscaler != "" {
		if s.sink, err = metrics.NewSink(metrics.SinkConfig{URL: s.o.autoscaler, MaxBackoff: maxReconnect, OnState: s.logSink}); err != nil {
			return err
		}
		c.Reporter = s.sink
	}
	if s.o.metricsPort >= 0 {
		s.registry = prometheus.NewRegistry()
		s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
		c.Registerer = s.registry
	}
	s.activator, err = activator.New(c, s.log)
	return err
}

func (s *server) logSink(connected bool, err error) {
	switch {
	case connected:
		s.log.Info("autoscaler connected", zap.String("url", s.o.autoscaler))
	case err != nil:
		s.log.Warn("autoscaler not connected", zap.String("url", s.o.autoscaler), zap.Error(err))
	}
}

func (s *server) open() error {
	s.front = proxy.NewServer(s.activator.Handler(), proxy.ServerConfig{})
	s.front.ErrorLog = zap.NewStdLog(s.log)
	for _, port := range []int{s.o.http1, s.o.http2} {
		l, err := s.listenOn(port)
		if err != nil {
			return err
		}
		s.fronts = append(s.fronts, l)
	}
	if s.registry != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
		if err := s.openAdmin("metrics", s.o.metricsPort, mux); err != nil {
			return err
		}
	}
	if s.o.pprofPort >= 0 {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		return s.openAdmin("profiling", s.o.pprofPort, mux)
	}
	return nil
}

func (s *server) listenOn(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.o.bind, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("port %d (see -help for the flags that choose ports): %w", port, err)
	}
	return l, nil
}

func (s *server) openAdmin(what string, port int, h http.Handler) error {
	l, err := s.listenOn(port)
	if err != nil {
		return err
	}
	s.admins = append(s.admins, l)
	s.admin = append(s.admin, &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: zap.NewStdLog(s.log),
	})
	s.log.Info("listening", zap.String("for", what), zap.Stringer("address", l.Addr()))
	return nil
}

// serve serves until a signal comes or something fails, and ends everything.
func (s *server) serve(ctx context.Context, signals <-chan os.Signal) error {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, life := errgroup.WithContext(life)
	g.Go(func() error { return s.activator.Run(life, s.source) })
	if s.sink != nil {
		g.Go(func() error { return s.sink.Run(life) })
	}
	for _, l := range s.fronts {
		s.log.Info("listening", zap.String("for", "requests"), zap.Stringer("address", l.Addr()))
		g.Go(func() error { return served(s.front.Serve(l)) })
	}
	for i, l := range s.admins {
		g.Go(func() error { return served(s.admin[i].Serve(l)) })
	}
	g.Go(func() error {
		defer cancel()
		s.end(ctx, life, signals)
		return nil
	})
	return errors.Join(g.Wait(), s.activator.Close())
}

// served takes the end that was asked for for none.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// end waits for the order to end, and carries it out. Life ends when something has failed.
func (s *server) end(ctx, life context.Context, signals <-chan os.Signal) {
	select {
	case sig := <-signals:
		s.log.Info("ending", zap.Stringer("signal", sig), zap.Duration("serving on for", s.o.drain))
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

// shutdown lets requests in progress end, for as long as they may, then closes everything.
func (s *server) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.shutdown)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- s.activator.Drain(ctx) }() // says Connection: close, and waits for upgraded connections too
	err := errors.Join(s.front.Shutdown(ctx), <-drained)
	if err != nil {
		s.log.Warn("requests were cut", zap.Duration("after", s.o.shutdown), zap.Error(err))
	}
	_ = s.close()
}

// close closes what is open, the last first.
func (s *server) close() error {
	var errs []error
	for _, a := range s.admin {
		errs = append(errs, a.Close())
	}
	for _, l := range s.admins {
		errs = append(errs, closed(l.Close()))
	}
	if s.front != nil {
		errs = append(errs, s.front.Close())
	}
	for _, l := range s.fronts {
		errs = append(errs, closed(l.Close()))
	}
	return errors.Join(errs...)
}

func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
