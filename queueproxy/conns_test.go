package queueproxy

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// dialled counts the connections that an app gets.
type dialled struct {
	net.Listener
	n atomic.Int64
}

func (l *dialled) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

// There is one app, which may have all unused connections: what a pod without a limit needed at a time once, it isn't
// made to dial again.
func TestConnectionsOfABusyAppAreKept(t *testing.T) {
	const clients = 250
	var here sync.WaitGroup
	ln := &dialled{Listener: listenAgain(t, "127.0.0.1:0")}
	serveApp(t, ln, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		here.Done()
		here.Wait() // for all the others
	}))
	p := startPod(t, ln.Addr().String(), nil)
	rounds := func(n int) {
		for range n {
			here.Add(clients)
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					resp, err := p.client.Get(p.url)
					if err != nil {
						t.Error(err)
						here.Done()
						return
					}
					resp.Body.Close()
				})
			}
			all.Wait()
		}
	}
	rounds(1)
	before := ln.n.Load() // with those of probes
	if rounds(3); ln.n.Load() > before+clients/10 {
		t.Errorf("%d connections more for the same %d clients", ln.n.Load()-before, clients)
	}
}
