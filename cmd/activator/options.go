package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"go.uber.org/zap/zapcore"
)

// Environment that is the activator's alone.
const (
	envLogLevel   = "SLUICE_LOG_LEVEL"
	envAutoscaler = "SLUICE_AUTOSCALER_URL"
)

// options are what flags and environment say.
type options struct {
	version bool
	config  string

	bind                   string
	http1, http2           int
	metricsPort, pprofPort int
	classicMetrics         bool
	autoscaler             string
	drain, shutdown        time.Duration
	logLevel               zapcore.Level

	podName, podIP, clusterDomain     string
	maxIdleConns, maxIdleConnsPerHost int
	probeTimeout, probeFrequency      time.Duration
}

// drainTime is how long Kubernetes may take to tell everybody that this activator is ending (contract), and
// shutdownTime what is left of Knative's 600 s of grace for requests in progress.
const (
	drainTime    = 45 * time.Second
	shutdownTime = 550 * time.Second
)

// parse reads the environment, then args, which win. Its error is flag.ErrHelp when help was asked for and given.
func parse(args []string, env func(string) (string, bool), stderr io.Writer) (options, error) {
	o := options{}
	e := &environment{lookup: env}
	o.podName = e.text(knative.EnvPodName, "activator")
	o.podIP = e.text(knative.EnvPodIP, "")
	o.clusterDomain = e.text(knative.EnvClusterDomain, "")
	o.maxIdleConns = e.count(knative.EnvMaxIdleConns)
	o.maxIdleConnsPerHost = e.count(knative.EnvMaxIdleConnsPerHost)
	o.probeTimeout = e.duration(knative.EnvProbeTimeout)
	o.probeFrequency = e.duration(knative.EnvProbeFrequency)
	level := e.text(envLogLevel, "info")
	if o.clusterDomain == "" {
		resolvConf, _ := os.ReadFile("/etc/resolv.conf") // none is as good as one that says nothing
		o.clusterDomain = clusterDomain(string(resolvConf))
	}

	f := flag.NewFlagSet("activator", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.config, "config", "", "read revisions and pods from `FILE`, again whenever it changes; required")
	f.StringVar(&o.bind, "bind", e.text(knative.EnvBindAddress, ""), "listen on this `ADDRESS` alone ($"+knative.EnvBindAddress+")")
	f.IntVar(&o.http1, "http1-port", knative.PortHTTP1, "`PORT` for requests; both ports speak HTTP/1.1 and h2c; 0: any free one")
	f.IntVar(&o.http2, "http2-port", knative.PortHTTP2, "second `PORT` for requests; 0: any free one")
	f.StringVar(&o.autoscaler, "autoscaler", e.text(envAutoscaler, ""), "websocket `URL` of the autoscaler, such as ws://127.0.0.1:8080; empty: statistics go nowhere ($"+envAutoscaler+")")
	f.IntVar(&o.metricsPort, "metrics-port", -1, "`PORT` for Prometheus metrics on /metrics, in Knative "+strconv.Itoa(knative.PortActivator)+"; 0: any free one; negative: none")
	f.BoolVar(&o.classicMetrics, "classic-metrics", false, "give metrics the names in use up to Knative 1.18")
	f.IntVar(&o.pprofPort, "profiling-port", -1, "`PORT` for profiles on /debug/pprof/, in Knative "+strconv.Itoa(knative.PortProfiling)+"; 0: any free one; negative: none")
	f.DurationVar(&o.drain, "drain", drainTime, "serve on for this `TIME` after SIGTERM")
	f.DurationVar(&o.shutdown, "shutdown", shutdownTime, "`TIME` that requests in progress then have")
	f.StringVar(&level, "log-level", level, "debug, info, warn or error ($"+envLogLevel+")")
	f.BoolVar(&o.version, "version", false, "say which version this is")
	f.Usage = func() { usage(f) }
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.version {
		return o, nil
	}
	return o, o.check(f, e, level)
}

func (o *options) check(f *flag.FlagSet, e *environment, level string) error {
	var err error
	if o.logLevel, err = zapcore.ParseLevel(level); err != nil {
		return fmt.Errorf("log level %q is none of debug, info, warn, error", level)
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.config == "" {
		return errors.New("-config FILE is missing: it names the file of revisions and pods (see -help)")
	}
	return errors.Join(e.errs...)
}

func usage(f *flag.FlagSet) {
	w := f.Output()
	fmt.Fprintln(w, "usage: activator -config FILE [flags]")
	fmt.Fprintln(w)
	f.PrintDefaults()
	fmt.Fprintf(w, "\nEnvironment:\n")
	for _, line := range [][2]string{
		{knative.EnvPodName, "how statistics and metrics name this activator (activator)"},
		{knative.EnvPodIP, "what this activator is called among the peers of a revision; empty: it takes all pods"},
		{knative.EnvClusterDomain, "ends hosts that name a revision (from /etc/resolv.conf, else cluster.local)"},
		{knative.EnvMaxIdleConns, "idle connections to pods, in all (1000)"},
		{knative.EnvMaxIdleConnsPerHost, "and to each (100)"},
		{knative.EnvProbeTimeout, "how long one probe of a pod may take (300ms)"},
		{knative.EnvProbeFrequency, "the longest pause between two probes of a pod (200ms)"},
	} {
		fmt.Fprintf(w, "  %s\n    \t%s\n", line[0], line[1])
	}
}

// environment reads variables and keeps what is wrong with them.
type environment struct {
	lookup func(string) (string, bool)
	errs   []error
}

func (e *environment) text(name, missing string) string {
	if v, _ := e.lookup(name); v != "" {
		return v
	}
	return missing
}

func (e *environment) count(name string) int {
	v, _ := e.lookup(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n <= 0 {
		e.errs = append(e.errs, fmt.Errorf("%s=%q is not a positive number", name, v))
		return 0
	}
	return n
}

func (e *environment) duration(name string) time.Duration {
	v, _ := e.lookup(name)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		e.errs = append(e.errs, fmt.Errorf("%s=%q is not a positive duration such as 300ms", name, v))
		return 0
	}
	return d
}

// clusterDomain is what follows "svc." in the first such entry of a search line of a resolv.conf, else cluster.local.
func clusterDomain(resolvConf string) string {
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "search" {
			continue
		}
		for _, entry := range fields[1:] {
			if _, domain, ok := strings.Cut("."+strings.TrimSuffix(entry, "."), ".svc."); ok && domain != "" {
				return domain
			}
		}
	}
	return "cluster.local"
}
