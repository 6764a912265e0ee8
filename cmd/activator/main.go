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

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	err := run(context.Background(), signals, os.Args[1:], os.LookupEnv, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "activator:", err)
		os.Exit(1)
	}
}

// run is the program: it returns when a signal has come and everything has ended, or when something fails. The end of
// ctx is like two signals.
func run(
	ctx context.Context, signals <-chan os.Signal, args []string, env func(string) (string, bool), stderr io.Writer,
) error {
	o, err := parse(args, env, stderr)
	if err != nil {
		return err
	}
	if o.version {
		fmt.Fprintln(stderr, "sluice activator", version())
		return nil
	}
	log := logger(o.logLevel, stderr)
	defer func() { _ = log.Sync() }()
	s, err := listen(o, log)
	if err != nil {
		return err
	}
	return s.serve(ctx, signals)
}

// logger writes JSON with the keys that Knative's config-logging asks for.
func logger(level zapcore.Level, w io.Writer) *zap.Logger {
	c := zap.NewProductionEncoderConfig()
	c.TimeKey, c.MessageKey, c.LevelKey = "timestamp", "message", "severity"
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(c), zapcore.Lock(zapcore.AddSync(w)), level))
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value
		}
	}
	return v + " " + info.GoVersion
}
