// Command queue-proxy is the sidecar of a revision's pod, configured by its environment as Knative Serving's controller
// sets it. queue-proxy -help lists the variables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sluice-proxy/sluice/internal/heap"
	"github.com/sluice-proxy/sluice/internal/procs"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/queueproxy/sidecar"
)

func main() {
	unfollow := procs.Follow() // first of all: each thread that runs Go has memory of its own
	ctx, stop := signal.NotifyContext(context.Background(), program.Signals()...)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	// Whoever reads the logs may go: that is no reason for requests to fail. Go would end the process at the next line.
	signal.Ignore(syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.LookupEnv, os.Stderr)
	unfollow()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// slack is garbage that a sidecar under load may hold; an idle one makes none.
const slack = 8 << 20

func run(ctx context.Context, args []string, env func(string) (string, bool), stderr io.Writer) error {
	flags := flag.NewFlagSet("queue-proxy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "queue-proxy takes everything from its environment:")
		_ = sidecar.WriteUsage(stderr)
		_, _ = fmt.Fprintln(stderr, "\nGOMAXPROCS, GOMEMLIMIT and GOGC are Go's own; without the first, as many CPUs as a limit or an affinity gives, else half of them.")
		_, _ = fmt.Fprintln(stderr, "\nFlags:")
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *version {
		_, err := fmt.Fprintln(stderr, "queue-proxy", program.Version())
		return err
	}
	defer heap.Slack(slack)()
	return sidecar.Main(ctx, sidecar.WithEnv(env), sidecar.WithStderr(stderr), sidecar.WithFreeMemory(debug.FreeOSMemory),
		sidecar.WithStandardLog())
}
