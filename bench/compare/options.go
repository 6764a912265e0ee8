package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/report"
)

// options are the settings of the command line.
type options struct {
	args          []string
	scenarios     []*scenario
	contenders    []*contender
	peers         []*contender // are among the contenders too
	variants      []setting    // and these
	baseline      string       // the revision of more contenders
	rounds        int
	duration      time.Duration
	json, plot    string
	install, list bool

	scenarioNames, contenderNames string
}

// parse parses args. Its error is flag.ErrHelp if args ask for help, which parse prints.
func parse(args []string, help io.Writer) (options, error) {
	o := options{args: args}
	f := o.flags()
	f.SetOutput(io.Discard) // main prints one line about a mistake
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintln(help, "compare measures proxies beside each other. The table goes to stdout, progress to stderr.")
			f.SetOutput(help)
			f.PrintDefaults()
		}
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds %d: should be 1 or more", o.rounds)
	case o.duration < time.Second || o.duration%time.Second != 0:
		return o, fmt.Errorf("-duration %v: should be whole seconds", o.duration)
	}
	return o, o.choose()
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.StringVar(&o.scenarioNames, "scenarios", "", "run only the scenarios with these `NAMES`, between commas (default: all)")
	f.StringVar(&o.contenderNames, "contenders", "", "run only the contenders with these `NAMES`, between commas, and the peers (default: all except those that -list marks with *)")
	f.IntVar(&o.rounds, "rounds", 5, "`NUMBER` of measurements of each contender in each scenario; at most 3 for memory")
	f.DurationVar(&o.duration, "duration", 3*time.Second, "`TIME` of a measurement, in whole seconds; a warm-up of a third of it, or a second, comes before")
	f.StringVar(&o.json, "json", "", "write all samples to this `FILE`")
	f.StringVar(&o.plot, "plot", "", "write a chart to this `FILE`, in SVG")
	f.BoolVar(&o.install, "install", false, "install missing programs from Debian, as root or with sudo")
	f.BoolVar(&o.list, "list", false, "print the scenarios and contenders, and exit")
	f.Func("peer", "a proxy of your own, `NAME=COMMAND`, may be given several times; the shell runs COMMAND with LISTEN and\n"+
		"UPSTREAM, host:port each, and the other variables that go doc ./bench/compare names", func(v string) error {
		p, err := peer(v)
		o.peers = append(o.peers, p)
		return err
	})
	f.StringVar(&o.baseline, "baseline", "", "build a `REVISION` of this repository, and let its proxies take part beside those of the\n"+
		"working tree, as NAME@REVISION")
	f.Func("variant", "one of this project's contenders with other settings, `NAME=CONTENDER SETTING` (or more settings), may be given several times;\n"+
		"VARIABLE=VALUE is for the environment of its processes, -flag=value for the activator", func(v string) error {
		s, err := parseSetting(v)
		o.variants = append(o.variants, s)
		return err
	})
	return f
}

// choose selects the named scenarios and contenders.
func (o *options) choose() (err error) {
	if o.scenarios, err = choose("scenario", scenarios(), o.scenarioNames, func(s *scenario) string { return s.name }); err != nil {
		return err
	}
	if o.contenders, err = choose("contender", contenders(), o.contenderNames, func(c *contender) string { return c.name }); err != nil {
		return err
	}
	if o.contenderNames == "" {
		o.contenders = slices.DeleteFunc(o.contenders, func(c *contender) bool { return c.extra })
	}
	if o.baseline != "" {
		all := baselines(o.contenders, o.baseline)
		if len(all) == 0 {
			return fmt.Errorf("-baseline %s: none of this project's contenders takes part", o.baseline)
		}
		o.contenders = append(o.contenders, all...)
	}
	for _, s := range o.variants {
		c, err := s.contender()
		if err != nil {
			return err
		}
		if err := o.add("-variant", c); err != nil {
			return err
		}
	}
	for _, p := range o.peers {
		if err := o.add("-peer", p); err != nil {
			return err
		}
	}
	return nil
}

func (o *options) add(flag string, c *contender) error {
	if slices.ContainsFunc(o.contenders, func(other *contender) bool { return other.name == c.name }) {
		return fmt.Errorf("%s %s: there is one of that name", flag, c.name)
	}
	o.contenders = append(o.contenders, c)
	return nil
}

// choose selects the elements of all that names lists, in the order of all.
func choose[T any](what string, all []T, names string, name func(T) string) ([]T, error) {
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	for i, n := range wanted {
		wanted[i] = strings.TrimSpace(n)
		if !slices.ContainsFunc(all, func(t T) bool { return name(t) == wanted[i] }) {
			return nil, fmt.Errorf("there is no %s %q; -list prints all", what, wanted[i])
		}
	}
	return slices.DeleteFunc(all, func(t T) bool { return !slices.Contains(wanted, name(t)) }), nil
}

func list(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "Scenarios")
	for _, s := range scenarios() {
		_, _ = fmt.Fprintf(t, "  %s\t%s\n", s.name, s.what)
	}
	_, _ = fmt.Fprintln(t, "Contenders (*: only when named)")
	for _, c := range contenders() {
		mark := map[bool]string{true: "*"}[c.extra]
		_, _ = fmt.Fprintf(t, "  %s%s\t%s\n", c.name, mark, c.what)
	}
	return t.Flush()
}

// outputs are the output files of the flags. They are made before the first measurement, so that a wrong path is found at
// once.
type outputs struct{ json, plot *os.File }

func (o options) outputs() (files outputs, err error) {
	if o.json != "" {
		if files.json, err = os.Create(o.json); err != nil {
			return files, err
		}
	}
	if o.plot != "" {
		files.plot, err = os.Create(o.plot)
	}
	return files, err
}

func (f outputs) write(r *report.Report) error {
	var errs []error
	if f.json != nil {
		errs = append(errs, r.JSON(f.json), f.json.Close())
	}
	if f.plot != nil {
		errs = append(errs, r.Plot(f.plot), f.plot.Close())
	}
	return errors.Join(errs...)
}
