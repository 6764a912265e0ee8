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
	"runtime/debug"

	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/queueproxy/sidecar"
)

func main() {
	program.Exit("", program.Proxy(slack, func() error {
		return run(program.Signalled(), os.Args[1:], os.LookupEnv, os.Stderr)
	}))
}

// slack is how much garbage the heap may hold (see heap.Slack) under load; an idle sidecar makes none.
const slack = 8 << 20

func run(ctx context.Context, args []string, env func(string) (string, bool), stderr io.Writer) error {
	flags := flag.NewFlagSet("queue-proxy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "queue-proxy reads its configuration from the environment:")
		_ = sidecar.WriteUsage(stderr)
		_, _ = fmt.Fprintln(stderr, "\nGOMAXPROCS, GOMEMLIMIT and GOGC are Go's own variables; without GOMAXPROCS the program uses as many CPUs as a limit or an affinity allows, else half of the machine's.")
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
	return sidecar.Main(ctx, sidecar.WithEnv(env), sidecar.WithStderr(stderr), sidecar.WithFreeMemory(debug.FreeOSMemory),
		sidecar.WithStandardLog())
}
