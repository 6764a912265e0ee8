package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/logging"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/internal/queueenv"
	"github.com/sluice-proxy/sluice/internal/standalone"
	"github.com/sluice-proxy/sluice/internal/standalone/hello"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/player"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
	"github.com/sluice-proxy/sluice/internal/tracing"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

func main() {
	switch os.Args[0] {
	case replica.SupervisorName:
		os.Exit(replica.Main())
	case standalone.QueueProxyName:
		program.Exit("", queueProxy(program.Signalled()))
	case hello.Name:
		program.Exit("", hello.Main(program.Signalled(), os.Getenv))
	case player.Name:
		program.Exit("", player.Main(program.Signalled(), os.Getenv))
	}
	// When a second signal ends the process, all replicas end a little later: their supervisors see to that. Ctrl-C doesn't
	// reach the processes of a replica, which are in groups of their own.
	program.Exit("", run(program.Signalled(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// queueProxy runs the queue-proxy of a replica as sidecar.Main does, but without the metrics, request log and profiles, which no
// replica's environment turns on and go run would have to compile.
func queueProxy(ctx context.Context) error {
	e := &program.Environment{Lookup: os.LookupEnv}
	log, c := queueenv.Logger(e, os.Stderr), queueenv.Config(e)
	if err := errors.Join(e.Bad...); err != nil {
		return err
	}
	log = queueenv.Named(log, c.Identity)
	defer logging.Standard(log)()
	c.Server.FreeMemory = debug.FreeOSMemory
	end, err := traces(&c)
	if err != nil {
		return err
	}
	defer end()
	p, err := queueproxy.New(c, log)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// traces has a queue-proxy make spans, if its environment says where they go. End sends those that are left.
func traces(c *queueproxy.Config) (end func(), err error) {
	observed, err := observability.ParseJSON(os.Getenv(knative.EnvObservabilityConfig), os.LookupEnv)
	if err != nil || observed.Tracing.Protocol == observability.None {
		return func() {}, err
	}
	t, err := tracing.New(tracing.Config{
		Span: "queue", Wait: "kn.queueproxy.wait", // Knative's names
		Resource: map[string]string{
			"service.name": c.Identity.Service, "service.instance.id": c.Identity.Pod, "k8s.namespace.name": c.Identity.Namespace,
			"k8s.pod.name": c.Identity.Pod, "kn.service.name": c.Identity.Service, "kn.revision.name": c.Identity.Revision,
		},
		Skip:         func(r *proxy.Request) bool { return queueproxy.IsProbe(r.Header) },
		FlushTimeout: queueproxy.FlushTime,
	})
	if err == nil {
		err = t.Set(observed.Tracing)
	}
	if err != nil {
		return nil, err
	}
	c.WrapPolicy = t.Wrap
	ctx, cancel := context.WithCancel(context.Background()) // until the last request has ended
	var running sync.WaitGroup
	running.Go(func() { _ = t.Run(ctx) })
	return func() { cancel(); running.Wait() }, nil
}

// run is the quickstart. It returns after ctx is cancelled and everything has ended, or with an error.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) > 0 && subcommands[args[0]] != nil {
		return subcommands[args[0]](ctx, args[1:], stdout, stderr)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.version {
		_, err := fmt.Fprintln(stdout, "quickstart", program.Version())
		return err
	}
	if slices.Contains(o.files, manifest.Stdin) {
		if o.config.Stdin, err = readAll(ctx, stdin); err != nil {
			return err
		}
	}
	remove, err := o.manifests()
	if err != nil {
		return err
	}
	defer remove()
	c := o.config
	c.Observability = observability.FromEnvironment(os.LookupEnv)
	c.Screen = screen.New(screen.Config{Out: stdout, Size: size(stdout)})
	defer c.Screen.Close(flush)
	if o.unkept {
		c.Screen.Line("sluice: -state has no effect with -api=false: nothing lasts, events included")
	}
	logs := c.Screen // on a terminal the screen writes the log, so that its table stays intact
	if size(stdout) == nil || size(stderr) == nil {
		logs = screen.New(screen.Config{Out: stderr})
		defer logs.Close(flush)
	}
	c.Log = o.logger(logs)
	s, err := standalone.New(c)
	if err != nil {
		return err
	}
	defer readKeys(s, c, stdin, stdout)()
	return s.Run(ctx)
}

// readAll reads the manifests on standard input. It blocks until their end, or until ctx is cancelled: then its goroutine
// ends only with the process.
func readAll(ctx context.Context, stdin io.Reader) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := manifest.ReadAll(manifest.StdinName, stdin)
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// flush is how long the shutdown waits for an output that isn't read.
const flush = time.Second

// size returns a function that returns the terminal's size; nil if w is not a terminal.
func size(w io.Writer) func() (columns, lines int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return func() (columns, lines int) {
		columns, lines, err := term.GetSize(int(f.Fd()))
		if err != nil || columns == 0 || lines == 0 { // as on a serial line
			return 80, 24
		}
		return columns, lines
	}
}
