package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// admin serves one port beside those of the requests, from openAdmin to close.
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
			Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: newServerLog(log),
		},
		done: make(chan struct{}),
	}
	log.Info("listening", zap.String("for", what), zap.Stringer("address", l.Addr()))
	go func() {
		defer close(a.done)
		if err := served(a.server.Serve(l)); err != nil {
			log.Error("a port is lost", zap.String("for", what), zap.Error(err))
		}
	}()
	return a, nil
}

// close cuts what is in progress, and waits for the port to be free again.
func (a *admin) close() error {
	err := a.server.Close()
	<-a.done
	return err
}

// served takes the end that was asked for for none.
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

// profiles answers 404 to everything while on says no.
func profiles(on func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !on() {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
