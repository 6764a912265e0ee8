package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluice-proxy/sluice/examples"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/standalone"
	"github.com/sluice-proxy/sluice/internal/standalone/autoscaler"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/screen"
	"github.com/sluice-proxy/sluice/internal/standalone/state"
)

// example is served without -f.
const example = "examples/hello.yaml"

// options are the settings on the command line.
type options struct {
	config   standalone.Config
	files    list // nil: -f was not given
	api      bool
	settings standalone.API
	unkept   bool // -state names a directory, and -api=false keeps nothing there
	verbose  bool
	version  bool
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

// Set appends a value; an empty one ends what was given so far.
func (l *list) Set(v string) error {
	if v == "" {
		*l = list{}
		return nil
	}
	*l = append(*l, v)
	return nil
}

// parse reads the command line. Its error is one line, or flag.ErrHelp when help has been printed.
func parse(args []string, stderr io.Writer) (options, error) {
	scaling, bounds := autoscaler.Standard(), limits.OfProcess()
	o := options{config: standalone.Config{Scaling: &scaling, Limits: &bounds, ReplicaPorts: standalone.DefaultReplicaPorts, Images: map[string][]string{}}}
	settings := append(bounds.Activator(), bounds.Events()...)
	if errs := settings.Environment(os.LookupEnv); errs != nil {
		return o, errors.Join(errs...)
	}
	dir, noDir := state.Default()
	o.settings.State = dir
	own := flag.NewFlagSet("", flag.ContinueOnError)
	own.Var(&o.files, "f", "manifest `file or directory`, watched for changes, or - for standard input; may be given several times; empty: none "+
		"(default "+example+", while nothing else is there)")
	own.IntVar(&o.config.Port, "port", standalone.DefaultPort, "`port` of the ingress; 0: a free one, which is printed")
	own.StringVar(&o.config.Host, "listen", standalone.DefaultHost, "IP `address` of the ingress")
	own.Func("image", "run an image as a command: `REFERENCE=COMMAND`; may be given several times", o.image)
	own.Var(&o.config.Runtime, "runtime", "what `runs` images without a command: podman, docker, auto for podman or else docker, or process for neither")
	own.BoolVar(&o.config.ClusterNames, "cluster-names", false, "set HTTP_PROXY for apps, so that they reach each other by names such as http://hello.default.svc.cluster.local")
	own.IntVar(&o.config.MaxReplicas, "max-replicas", standalone.DefaultMaxReplicas, "limit of `replicas` of each service, above which the autoscaler can't go")
	own.Var(&o.config.ReplicaPorts, "replica-ports", "`range` of ports on 127.0.0.1 for the processes of replicas")
	own.BoolVar(&o.api, "api", true, "serve an API for kubectl and kn on 127.0.0.1")
	own.IntVar(&o.settings.Port, "api-port", 0, "`port` of the API; 0: a free one")
	own.StringVar(&o.settings.Kubeconfig, "kubeconfig", "", "`file` to write for kubectl and kn (default kubeconfig in the directory of -state)")
	own.StringVar(&o.settings.State, "state", o.settings.State, "`directory` in which objects and revisions last; empty: they don't")
	settings.Flags(own)
	own.BoolVar(&o.verbose, "v", false, "log at debug level, and list each ignored field of the manifests")
	own.BoolVar(&o.version, "version", false, "print the version")
	scale := flag.NewFlagSet("", flag.ContinueOnError)
	scaling.Flags(scale)

	all := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	all.SetOutput(io.Discard)
	for _, part := range []*flag.FlagSet{own, scale} {
		part.SetOutput(stderr)
		part.VisitAll(func(f *flag.Flag) { all.Var(f.Value, f.Name, f.Usage) })
	}
	switch err := all.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		help(stderr, own, scale)
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; -help lists the flags", err)
	case all.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q; manifests are given with -f", all.Arg(0))
	}
	given := false
	all.Visit(func(f *flag.Flag) { given = given || f.Name == "state" })
	o.unkept = given && !o.api && o.settings.State != ""
	if o.api {
		if noDir != nil && !given {
			return o, noDir
		}
		o.config.API = &o.settings
	}
	return o, nil
}

func help(w io.Writer, own, scale *flag.FlagSet) {
	fmt.Fprint(w, "quickstart serves Knative Services on this machine, from zero replicas and back.\n\nUsage: quickstart [flags]\n"+
		"       quickstart status [-o json]                   the services of the one that runs\n"+
		"       quickstart logs [SERVICE] [-f] [-tail N]      what their apps write\n"+
		"       quickstart broker -f FILE                     brokers and triggers without services\n\n")
	own.PrintDefaults()
	fmt.Fprint(w, "\nDefaults of the autoscaler, named after the keys of Knative's config-autoscaler; annotations override them:\n\n")
	scale.PrintDefaults()
}

// image reads REFERENCE=COMMAND.
func (o *options) image(v string) error {
	ref, command, found := strings.Cut(v, "=")
	argv, err := catalog.Split(command)
	if !found || ref == "" || err != nil || len(argv) == 0 {
		return errors.New("should be REFERENCE=COMMAND")
	}
	o.config.Images[ref] = argv
	return nil
}

// manifests sets the files to serve. Without -f that is the example, or a copy if the repository is not the working directory;
// remove deletes the copy.
func (o *options) manifests() (remove func(), err error) {
	remove = func() {}
	if o.files != nil {
		o.config.Files = o.files
		return remove, nil
	}
	sample := example
	if _, err := os.Stat(example); err != nil {
		dir, err := os.MkdirTemp("", "sluice-quickstart-")
		if err != nil {
			return nil, err
		}
		remove = func() { _ = os.RemoveAll(dir) }
		sample = filepath.Join(dir, filepath.Base(example))
		if err := os.WriteFile(sample, examples.Hello, 0o600); err != nil {
			remove()
			return nil, err
		}
	}
	o.config.Sample = []string{sample}
	return remove, nil
}

// logger logs to lines: warnings, or with -v everything.
func (o *options) logger(lines *screen.Screen) *zap.Logger {
	level := zapcore.WarnLevel
	if o.verbose {
		level = zapcore.DebugLevel
	}
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, logLines{lines}, level), zap.AddCaller())
}

// logLines writes each entry of a log as a line of a screen, which never blocks.
type logLines struct{ screen *screen.Screen }

func (l logLines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.screen.Line(strings.TrimSuffix(line, "\n"))
	}
	return len(p), nil
}

func (l logLines) Sync() error { return nil }
