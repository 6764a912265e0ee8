package queueproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// An app that brings its own queue-proxy: both in one process, and no port between them.
func Example() {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "Hello %s!", r.Host)
	})
	inside := newPipes()
	appServer := &http.Server{Handler: app}
	go func() { _ = appServer.Serve(inside) }()
	defer func() { _ = appServer.Close() }()

	sidecar, err := queueproxy.New(queueproxy.Config{
		UserAddr:             "app.invalid:80", // for Dial alone
		Dial:                 inside.dial,
		ContainerConcurrency: 10,
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = sidecar.Close() }()

	front := httptest.NewUnstartedServer(sidecar.Handler())
	front.Config.ConnContext = proxy.ConnContext // to notice clients that leave while they wait
	front.Start()
	defer front.Close()

	// What an activator sends.
	req, _ := http.NewRequest(http.MethodGet, front.URL, nil)
	req.Header.Set("K-Original-Host", "hello.example.com")
	req.Header.Set("K-Proxy-Request", "activator")
	resp, err := front.Client().Do(req)
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
