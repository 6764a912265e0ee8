// Package sample runs the HTTP server of a built-in app, as one in a pod would be run.
//
//	l, err := sample.Listen(ctx, os.Getenv)
//	err = sample.Serve(ctx, l, handler)
//
// Its only goroutine is Serve's own, for which Serve waits; all others are net/http's.
package sample

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Listen listens on $PORT of the loopback interface. env works like os.Getenv.
func Listen(ctx context.Context, env func(string) string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", cmp.Or(env("PORT"), "8080")))
}

// Serve serves HTTP/1.1 and HTTP/2 without TLS until ctx is cancelled, then finishes requests in flight, for at most 10 s.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, Handler: h}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := s.Shutdown(grace)
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
