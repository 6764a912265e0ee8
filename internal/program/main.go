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

// Proxy calls run, which is a proxy and the only task of the process. Meanwhile Go uses the CPUs that package procs chooses,
// and the heap may hold slack bytes of garbage (see heap.Slack), so that the collector runs less often.
func Proxy(slack uint64, run func() error) error {
	defer procs.Follow()() // before anything else, since each thread that runs Go has memory of its own
	defer heap.Slack(slack)()
	// Go would end the process at the first line of the log after its reader has gone.
	signal.Ignore(syscall.SIGPIPE)
	return run()
}

// Signalled returns a context that ends with the first of Signals. A second signal ends the process at once.
func Signalled() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), Signals()...)
	context.AfterFunc(ctx, stop)
	return ctx
}

// Exit ends the process, with status 0 if err is nil or flag.ErrHelp. Otherwise it prints prefix and err, and the status is 1.
func Exit(prefix string, err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, prefix+err.Error())
	os.Exit(1)
}
