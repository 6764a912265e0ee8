package queueproxy_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/sluice-proxy/sluice/queueproxy"
)

// A queue-proxy in front of an app, which gets ten requests at a time at most. In a pod Addrs is left out: the ports are
// then those of the contract with Knative.
func Example() {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Hello!") }))
	defer app.Close()
	sidecar, err := queueproxy.New(queueproxy.Config{
		UserAddr:             app.Listener.Addr().String(),
		ContainerConcurrency: 10,
		Addrs:                queueproxy.Addrs{Serve: "127.0.0.1:0", Admin: queueproxy.Off, Stats: queueproxy.Off},
	}, nil)
	if err == nil {
		err = sidecar.Listen()
	}
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- sidecar.Run(ctx) }()
	defer func() { stop(); <-ended }() // finishes requests that are in progress
	resp, err := http.Get("http://" + sidecar.Addrs().Serve)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, resp.Body)
	// Output: Hello!
}
