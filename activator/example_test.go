package activator_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/activator/static"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// An activator in front of one backend, which gets ten requests at a time at most; the others wait their turn. The
// backend may be any HTTP server: ProbeTCP has the activator wait until it accepts connections. Without it, what is asked
// for is a queue-proxy.
func Example() {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from %s!", r.Header.Get("K-Original-Host"))
	}))
	defer backend.Close()

	a, err := activator.New(activator.Config{}, nil)
	if err != nil {
		panic(err)
	}
	defer a.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error)
	go func() {
		ran <- a.Run(ctx, static.New(static.Revision{
			Revision: activator.Revision{
				ID: throttler.RevisionID{Namespace: "default", Name: "hello"}, Limit: 10, Probe: activator.ProbeTCP,
			},
			Endpoints: activator.Endpoints{Ready: []activator.Endpoint{{Addr: backend.Listener.Addr().String()}}},
		}))
	}()
	defer func() { cancel(); <-ran }()
	if err := a.Ready(ctx); err != nil {
		panic(err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	front, served := a.Engine(proxy.ServerConfig{}), make(chan error)
	go func() { served <- front.Serve(l) }()
	defer func() { front.Close(); <-served }()

	req, _ := http.NewRequest(http.MethodGet, "http://"+l.Addr().String(), nil)
	req.Host = "hello.default.svc.cluster.local"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
	// Output: Hello from hello.default.svc.cluster.local!
}
