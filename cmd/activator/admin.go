package main

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/profiling"
	"go.uber.org/zap"
)

// admin serves metrics or profiles on one port, from openAdmin to Close.
type admin struct {
	server *http.Server
	done   chan struct{}
}

func openAdmin(what, addr string, h http.Handler, log *zap.Logger) (*admin, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	a := &admin{
		server: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: logging.Servers(log),
		},
		done: make(chan struct{}),
	}
	log.Info("listening", zap.String("for", what), zap.Stringer("address", l.Addr()))
	go func() {
		defer close(a.done)
		if err := served(a.server.Serve(l)); err != nil {
			log.Error("a port is no longer served", zap.String("for", what), zap.Error(err))
		}
	}()
	return a, nil
}

// Close cuts off the requests in progress, and waits until the port is free again.
func (a *admin) Close() error {
	err := a.server.Close()
	<-a.done
	return err
}

// served returns the error of a server, or nil if the server was shut down.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func metricsPage(g prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))
	return mux
}

// profiles serves profiles while on returns true, and answers 404 otherwise.
func profiles(on func() bool) http.Handler {
	all := profiling.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !on() {
			http.NotFound(w, r)
			return
		}
		all.ServeHTTP(w, r)
	})
}
