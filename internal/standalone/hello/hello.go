// Package hello is the quickstart's built-in sample app, which behaves like the image helloworld-go of Knative's samples.
//
//	GET / ──► Hello $TARGET!
//
// It listens on $PORT of the loopback interface, shuts down cleanly on SIGTERM, and has no goroutines except net/http's.
package hello

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Name is the argv[0] with which the binary has to call Main.
const Name = "sluice-hello"

// Images are the references of the sample.
var Images = [...]string{"gcr.io/knative-samples/helloworld-go", "ghcr.io/knative/helloworld-go"}

// Main serves until ctx is cancelled, then finishes requests in flight, for at most 10 s. env works like os.Getenv.
func Main(ctx context.Context, env func(string) string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", cmp.Or(env("PORT"), "8080")))
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "helloworld: listening on", l.Addr())
	return serve(ctx, l, cmp.Or(env("TARGET"), "World"))
}

func serve(ctx context.Context, l net.Listener, target string) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "Hello %s!\n", target)
		}),
	}
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
