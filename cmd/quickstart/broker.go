package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/standalone"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
)

// onlyBrokers is the subcommand broker.
func onlyBrokers(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("broker", "[-listen ADDRESS] [-dir DIRECTORY] -f FILE: the brokers and triggers of files, without services")
	var o options
	flags.Var(&o.files, "f", "`file` or directory with Brokers and Triggers; may be given several times")
	listen := flags.String("listen", "127.0.0.1:8081", "`address` of http://ADDRESS/NAMESPACE/BROKER, for events, and http://ADDRESS/metrics")
	dir := flags.String("dir", "", "`directory` of events (default brokers in that of the quickstart's state)")
	bounds := limits.OfProcess()
	bounds.LogBytes = 0 // the disk's size
	if errs := bounds.Events().Environment(os.LookupEnv); errs != nil {
		return errors.Join(errs...)
	}
	bounds.Events().Flags(flags.FlagSet)
	flags.BoolVar(&o.verbose, "v", false, "log at debug level")
	if _, err := flags.parse(args, 0, stderr); err != nil {
		return err
	}
	if *dir == "" {
		if flags.noState != nil {
			return errors.Join(flags.noState, errors.New("broker: -dir is missing: it names a directory for events"))
		}
		*dir = filepath.Join(flags.state, "brokers")
	}
	if len(o.files) == 0 || slices.Contains(o.files, manifest.Stdin) {
		return errors.New("broker: -f should name a file or a directory with Brokers and Triggers")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("broker: -listen: %w", err)
	}
	out, errs := screen.New(screen.Config{Out: stdout}), screen.New(screen.Config{Out: stderr})
	defer out.Close(flush)
	defer errs.Close(flush)
	return standalone.OnlyBrokers{
		Manifests: manifest.Input{Paths: o.files}, Dir: *dir, Limits: bounds, Listener: listener, Log: o.logger(errs), Line: out.Line,
		Observability: observability.FromEnvironment(os.LookupEnv),
	}.Run(ctx)
}
