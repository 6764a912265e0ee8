package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
)

// startupServer answers on the ports for requests before the activator can start. The kubelet's probes get the reason.
type startupServer struct {
	why       atomic.Pointer[string]
	server    *http.Server
	listeners []*sharedListener
	serving   sync.WaitGroup
}

// openStartupServer serves until close.
func openStartupServer(on []net.Listener, why string) *startupServer {
	s := &startupServer{}
	s.setReason(why)
	s.server = proxy.NewServer(s, proxy.ServerConfig{})
	for _, l := range on {
		shared := &sharedListener{Listener: l}
		s.listeners = append(s.listeners, shared)
		s.serving.Go(func() { _ = s.server.Serve(shared) })
	}
	return s
}

func (s *startupServer) setReason(why string) { s.why.Store(&why) }

// close ends its connections and leaves the ports open, with the connections that have not been accepted yet.
func (s *startupServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond) // no response takes longer
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	s.serving.Wait()
	for _, l := range s.listeners {
		l.reopen()
	}
}

func (s *startupServer) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	why := *s.why.Load()
	if !knative.IsKubeletProbe(r.Header.Get) {
		proxy.WriteError(out, r, activator.Name, &proxy.Error{Reason: proxy.NotReady, Err: errors.New(why)})
		return
	}
	if r.RequestURI == activator.LivePath {
		return
	}
	out.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(out, why+"\n")
}

// sharedListener is a listener whose Close ends Accept and leaves the port open. After reopen the port can be served again.
type sharedListener struct {
	net.Listener
	ended atomic.Bool
}

type deadliner interface{ SetDeadline(time.Time) error }

func (l *sharedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil && l.ended.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

func (l *sharedListener) Close() error {
	l.ended.Store(true)
	return l.Listener.(deadliner).SetDeadline(time.Unix(1, 0))
}

func (l *sharedListener) reopen() { _ = l.Listener.(deadliner).SetDeadline(time.Time{}) }
