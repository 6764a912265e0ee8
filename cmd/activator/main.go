package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/program"
)

func main() {
	program.Exit("activator: ", program.Proxy(slack, func() error {
		signals := make(chan os.Signal, 2)
		signal.Notify(signals, program.Signals()...)
		return run(context.Background(), signals, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	}))
}

// slack is how much garbage the heap may hold (see heap.Slack). It is larger than a sidecar's, as a cluster has few activators.
const slack = 16 << 20

// run runs the program: it returns when a signal has come and the shutdown is complete, or when something fails. The end
// of ctx has the effect of two signals.
func run(
	ctx context.Context, signals <-chan os.Signal, args []string, env func(string) (string, bool),
	stdout, stderr io.Writer,
) error {
	o, err := parse(args, env, stderr)
	if err != nil {
		return err
	}
	if o.version {
		fmt.Fprintln(stderr, "sluice activator", program.Version())
		return nil
	}
	if o.onKubernetes() {
		return runOnKubernetes(ctx, signals, o, env, stdout, stderr)
	}
	log := logging.Default(o.logLevel, stderr)
	defer func() { _ = log.Sync() }()
	defer logging.Standard(log)()
	return runFromFile(ctx, signals, o, log)
}
