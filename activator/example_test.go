package activator_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/sluice-proxy/sluice/activator"
	"github.com/sluice-proxy/sluice/activator/static"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// An activator in front of one app, which gets ten requests at a time at most; the others wait their turn, and would also
// wait for the app to come up. The app may be any HTTP server: ProbeTCP waits until it accepts connections. Without it
// the activator expects a queue-proxy at the address.
func Example() {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Hello!") }))
	defer app.Close()
	pods := activator.Endpoints{Ready: []activator.Endpoint{{Addr: app.Listener.Addr().String()}}}
	id := throttler.RevisionID{Namespace: "default", Name: "hello"}
	hello := activator.Revision{ID: id, Limit: 10, Probe: activator.ProbeTCP}
	a, err := activator.New(activator.Config{}, nil)
	l, err2 := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(err, err2); err != nil {
		panic(err)
	}
	defer a.Close()
	ctx, stop := context.WithCancel(context.Background())
	front, ended := a.Engine(proxy.ServerConfig{}), make(chan error)
	go func() { ended <- a.Run(ctx, static.New(static.Revision{Revision: hello, Endpoints: pods})) }()
	go func() { ended <- front.Serve(l) }()
	defer func() { front.Close(); stop(); <-ended; <-ended }()
	req, _ := http.NewRequest(http.MethodGet, "http://"+l.Addr().String(), nil)
	req.Host = "hello.default.svc.cluster.local"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, resp.Body)
	// Output: Hello!
}
