// Package hello is the quickstart's built-in sample app, which behaves like the image helloworld-go of Knative's samples.
//
//	GET / ──► Hello $TARGET!
//
// It listens on $PORT of the loopback interface, shuts down cleanly on SIGTERM, and has no goroutines except its server's.
package hello

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/sluice-proxy/sluice/internal/standalone/sample"
)

// Name is the argv[0] with which the binary has to call Main.
const Name = "sluice-hello"

// Images are the references of the sample.
var Images = [...]string{"gcr.io/knative-samples/helloworld-go", "ghcr.io/knative/helloworld-go"}

// Main serves until ctx is cancelled. env works like os.Getenv.
func Main(ctx context.Context, env func(string) string) error {
	l, err := sample.Listen(ctx, env)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "helloworld: listening on", l.Addr())
	return serve(ctx, l, cmp.Or(env("TARGET"), "World"))
}

func serve(ctx context.Context, l net.Listener, target string) error {
	return sample.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Hello %s!\n", target)
	}))
}
