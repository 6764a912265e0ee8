package queueproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/queueproxy"
)

// An app that brings its own queue-proxy: both in one process, and no port between them.
func ExampleConfig_dial() {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "Hello %s!", r.Host)
	})
	inside := newPipes()
	appServer := &http.Server{Handler: app}
	go func() { _ = appServer.Serve(inside) }()
	defer func() { _ = appServer.Close() }()

	const anyPort = "127.0.0.1:0" // in a pod those of the contract, which is the default
	sidecar, err := queueproxy.New(queueproxy.Config{
		UserAddr:             "app.invalid:80", // for Dial alone
		Dial:                 inside.dial,
		ContainerConcurrency: 10,
		Addrs:                queueproxy.Addrs{Serve: anyPort, Admin: anyPort, Stats: anyPort},
		DrainQuiet:           time.Millisecond, // no load balancer has to learn that this pod is going away
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := sidecar.Listen(); err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- sidecar.Run(ctx) }()
	defer func() { stop(); <-ended }()

	// What an activator sends.
	req, _ := http.NewRequest(http.MethodGet, "http://"+sidecar.Addrs().Serve, nil)
	req.Header.Set("K-Original-Host", "hello.example.com")
	req.Header.Set("K-Proxy-Request", "activator")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(string(body))
	// Output: Hello hello.example.com!
}

// pipes is a listener whose connections never leave the process.
type pipes struct {
	conns  chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func newPipes() *pipes {
	ctx, cancel := context.WithCancel(context.Background())
	return &pipes{make(chan net.Conn), ctx, cancel}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
