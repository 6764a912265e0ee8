package queueproxy

import (
	"context"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/profiling"
	"github.com/sluice-proxy/sluice/proxy"
)

// server is a proxy.Engine or an http.Server.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// requestServer serves requests and probes: on HTTP/1.1 of our own, or behind an embedder's http.Handler on net/http's.
func (p *Proxy) requestServer() server {
	c := p.config.Server
	c.ErrorLog, c.OnRefused = p.serverLog("requests"), p.rejected.Report
	if p.config.WrapHandler != nil {
		return proxy.NewServer(p.front, c)
	}
	return proxy.NewEngine(p.handler, c)
}

// serverLog is what the server of that name has to say.
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
	// It is answered when the pod is quiet. A read deadline would end the request's context meanwhile.
	s.ReadTimeout, s.WriteTimeout = 0, 0
	return s
}

// smallServer serves one path, for clients that are quick.
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

func profilingServer(errors *log.Logger) *http.Server {
	s := smallServer("/debug/pprof/", profiling.Handler(), errors)
	s.ReadTimeout, s.WriteTimeout = 0, 0 // a profile takes as long as its request says
	return s
}
