package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-proxy/sluice/internal/heap"
	"github.com/sluice-proxy/sluice/internal/procs"
)

// Proxy runs a proxy in a process that does nothing else: on the CPUs that are its own, and with so many bytes of garbage in
// its heap (see heap.Slack) that it isn't collected all the time.
func Proxy(slack uint64, run func() error) error {
	defer procs.Follow()() // first of all: each thread that runs Go has memory of its own
	defer heap.Slack(slack)()
	// Whoever reads the logs may go: that is no reason for requests to fail. Go would end the process at the next line.
	signal.Ignore(syscall.SIGPIPE)
	return run()
}

// Signalled ends with the first of Signals. The second ends the process at once.
func Signalled() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), Signals()...)
	context.AfterFunc(ctx, stop)
	return ctx
}

// Exit ends the process. Its status is 1 if there is an error, which is printed after prefix, unless that is flag.ErrHelp:
// help was asked for, and given.
func Exit(prefix string, err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, prefix+err.Error())
	os.Exit(1)
}
