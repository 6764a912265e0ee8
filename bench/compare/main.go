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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var err error
	if role := os.Getenv(roleVariable); role != "" {
		err = play(ctx, role)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
	}
	os.Exit(exitCode(err))
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)):
		return 2
	}
	return 1
}

// errFailed is the error after failures that the table lists.
var errFailed = errors.New("there were failures")

// run runs the program with args. The table goes to stdout, progress to stderr. If ctx ends, the table has the measurements
// before.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return usageError{err}
	case o.list:
		return list(stdout)
	}
	if err := provide(ctx, o, stderr); err != nil {
		return err
	}
	files, err := o.outputs()
	if err != nil {
		return err
	}
	s, err := prepare(ctx, o.contenders, released(), stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	b := newBench(ctx, s, o, stderr)
	b.all(ctx)
	if err := b.report.Table(stdout); err != nil {
		return err
	}
	if err := files.write(b.report); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted; the table has the measurements before")
	case b.failures > 0:
		return errFailed
	}
	return nil
}
