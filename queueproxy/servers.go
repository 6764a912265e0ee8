package queueproxy

import (
	"context"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/proxy"
)

// server is a proxy.Engine or an http.Server.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// requestServer returns the server of requests and probes: the engine or, for an embedder's http.Handler, net/http's.
func (p *Proxy) requestServer() server {
	c := p.config.Server
	c.ErrorLog, c.OnRejected = p.serverLog("requests"), p.rejected.Report
	if p.config.WrapHandler != nil {
		return proxy.NewServer(p.front, c)
	}
	return proxy.NewEngine(p.handler, c)
}

// serverLog returns the error log of the server of that name.
func (p *Proxy) serverLog(name string) *log.Logger {
	return logging.Servers(p.log.Named(name))
}

// adminServer answers the preStop hook of the app's container.
func (p *Proxy) adminServer() *http.Server {
	s := smallServer(knative.AdminDrainPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.hook(r.Context()) == nil {
			w.WriteHeader(http.StatusOK)
		}
	}), p.serverLog("admin"))
	// The response may take as long as a drain. A read deadline would end the request's context before.
	s.ReadTimeout, s.WriteTimeout = 0, 0
	return s
}

// smallServer returns a server of one path, with timeouts for short requests.
func smallServer(path string, h http.Handler, errors *log.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.Handle(path, h)
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than a scraper's period
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          errors,
	}
}

func profilingServer(page http.Handler, errors *log.Logger) *http.Server {
	s := smallServer("/debug/pprof/", page, errors)
	s.ReadTimeout, s.WriteTimeout = 0, 0 // the request sets how long a profile takes
	return s
}
