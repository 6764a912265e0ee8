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

// waitingRoom answers on the ports for requests while the activator can't begin yet, so that the kubelet can tell why.
type waitingRoom struct {
	why       atomic.Pointer[string]
	server    *http.Server
	listeners []*lent
	serving   sync.WaitGroup
}

// openWaitingRoom serves until leave.
func openWaitingRoom(on []net.Listener, why string) *waitingRoom {
	w := &waitingRoom{}
	w.because(why)
	w.server = proxy.NewServer(w, proxy.ServerConfig{})
	for _, l := range on {
		borrowed := &lent{Listener: l}
		w.listeners = append(w.listeners, borrowed)
		w.serving.Go(func() { _ = w.server.Serve(borrowed) })
	}
	return w
}

func (w *waitingRoom) because(why string) { w.why.Store(&why) }

// leave ends its connections and gives the ports back, with the connections that nobody has accepted yet.
func (w *waitingRoom) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond) // answers are at hand
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close()
	}
	w.serving.Wait()
	for _, l := range w.listeners {
		l.giveBack()
	}
}

func (w *waitingRoom) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	why := *w.why.Load()
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

// lent is a listener whose Close ends Accept and leaves the port open.
type lent struct {
	net.Listener
	ended atomic.Bool
}

type deadliner interface{ SetDeadline(time.Time) error }

func (l *lent) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil && l.ended.Load() {
		return nil, net.ErrClosed
	}
	return c, err
}

func (l *lent) Close() error {
	l.ended.Store(true)
	return l.Listener.(deadliner).SetDeadline(time.Unix(1, 0))
}

func (l *lent) giveBack() { _ = l.Listener.(deadliner).SetDeadline(time.Time{}) }
