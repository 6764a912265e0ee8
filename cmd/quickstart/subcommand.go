package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/sluice-proxy/sluice/internal/standalone/client"
	"github.com/sluice-proxy/sluice/internal/standalone/state"
)

// subcommands ask the running quickstart, but for broker, which runs a part of it.
var subcommands = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) error{
	"status": status, "logs": logs, "broker": onlyBrokers,
}

// subcommandFlags are the flags of a subcommand, with those of all that ask the running quickstart.
type subcommandFlags struct {
	*flag.FlagSet
	usage      string // arguments and purpose
	kubeconfig string
	state      string
	noState    error // why there is no default of state
}

func newSubcommandFlags(name, usage string) *subcommandFlags {
	f := newFlags(name, usage)
	f.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that the running quickstart has written (default kubeconfig in the directory of -state)")
	f.StringVar(&f.state, "state", f.state, "`directory` of the running quickstart")
	return f
}

// newFlags returns the flags of a subcommand that asks nobody.
func newFlags(name, usage string) *subcommandFlags {
	f := &subcommandFlags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), usage: usage}
	f.SetOutput(io.Discard)
	f.state, f.noState = state.Default()
	return f
}

// parse parses flags before and after at most most other arguments, which it returns. Its error is one line, or flag.ErrHelp when
// help has been printed.
func (f *subcommandFlags) parse(args []string, most int, stderr io.Writer) (others []string, err error) {
	for {
		switch err := f.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprintf(stderr, "Usage: quickstart %s %s\n\n", f.Name(), f.usage)
			f.SetOutput(stderr)
			f.PrintDefaults()
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%s: %w; -help lists the flags", f.Name(), err)
		}
		if args = f.Args(); len(args) == 0 {
			return others, nil
		}
		if len(others) == most {
			return nil, fmt.Errorf("%s: unexpected argument %q; -help shows the usage", f.Name(), args[0])
		}
		others, args = append(others, args[0]), args[1:]
	}
}

// open returns a client of the running quickstart.
func (f *subcommandFlags) open() (*client.Client, error) {
	switch {
	case f.kubeconfig != "":
		return client.Open(f.kubeconfig)
	case f.state == "":
		return nil, errors.Join(f.noState, fmt.Errorf("%s: -state is empty: give the -kubeconfig of the running quickstart", f.Name()))
	}
	return client.Open(filepath.Join(f.state, "kubeconfig"))
}
