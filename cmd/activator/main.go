package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-proxy/sluice/internal/heap"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/procs"
	"github.com/sluice-proxy/sluice/internal/program"
)

func main() {
	unfollow := procs.Follow()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, program.Signals()...)
	// Whoever reads the logs may go: that is no reason for requests to fail. Go would end the process at the next line.
	signal.Ignore(syscall.SIGPIPE)
	err := run(context.Background(), signals, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	unfollow()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "activator:", err)
		os.Exit(1)
	}
}

// slack is garbage that may be there: of an activator there are few, and what it knows lives.
const slack = 16 << 20

// run is the program: it returns when a signal has come and everything has ended, or when something fails. The end of
// ctx is like two signals.
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
	defer heap.Slack(slack)()
	if o.onKubernetes() {
		return runOnKubernetes(ctx, signals, o, env, stdout, stderr)
	}
	log := logging.Default(o.logLevel, stderr)
	defer func() { _ = log.Sync() }()
	defer logging.Standard(log)()
	return runFromFile(ctx, signals, o, log)
}
