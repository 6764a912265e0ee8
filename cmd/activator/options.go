package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/program"
	"go.uber.org/zap/zapcore"
)

// Variables that only the activator reads, and defaults.
const (
	envLogLevel       = "SLUICE_LOG_LEVEL"
	envAutoscaler     = "SLUICE_AUTOSCALER_URL"
	envClassicMetrics = "SLUICE_CLASSIC_METRICS"
	envRelease        = "SLUICE_KNATIVE_RELEASE"
	envCookieKey      = "SLUICE_COOKIE_KEY"
	envKubeconfig     = "KUBECONFIG"
	envInPod          = "KUBERNETES_SERVICE_HOST" // Kubernetes sets it in every pod
	envLoggingMap     = "CONFIG_LOGGING_NAME"
	envObservability  = "CONFIG_OBSERVABILITY_NAME"
	loggingMap        = "config-logging"
	observabilityMap  = "config-observability"
	networkMap        = "config-network"
	tracingMap        = "config-tracing" // in Knative up to 1.18
	defaultActivator  = "activator"
	noPort            = -1
	autoRelease       = "auto"
	knativeAutoscaler = "ws://autoscaler.%s.svc.%s:%d"
)

// options are the settings that flags and environment make.
type options struct {
	version                         bool
	config, kubeconfig, kubeconfigs string // files of -config, -kubeconfig and $KUBECONFIG

	bind                              string
	http1, http2, tlsPort             int
	metricsPort, pprofPort            int
	classicMetrics                    bool
	autoscaler                        string
	drain, shutdown                   time.Duration
	logLevel                          zapcore.Level
	podName, podIP, clusterDomain     string
	maxIdleConns, maxIdleConnsPerHost int
	probeTimeout, probeFrequency      time.Duration

	limits limits.Limits

	// These are for Kubernetes alone.
	namespace                 string          // SYSTEM_NAMESPACE
	loggingMap, observability string          // ConfigMaps
	release                   knative.Release // 0: read from labels
	tls                       *tls.Config
	cookieKey                 []byte
}

// drainTime is how long Kubernetes may take to remove this activator from the endpoints that all clients use (contract).
// shutdownTime is the part of Knative's grace period, 600 s, that is left for requests in progress.
const (
	drainTime    = 45 * time.Second
	shutdownTime = 550 * time.Second
)

var errNowhere = errors.New("no source of revisions is configured: name a file (-config FILE) or a cluster (-kubeconfig FILE, $KUBECONFIG), " +
	"or run in a pod (see -help)")

// onKubernetes reports whether revisions come from Kubernetes.
func (o options) onKubernetes() bool { return o.config == "" }

// parse reads the environment, then args, which override it. Its error is flag.ErrHelp when args ask for help.
func parse(args []string, env func(string) (string, bool), stderr io.Writer) (options, error) {
	e := &program.Environment{Lookup: env}
	o := fromEnvironment(e)
	o.limits = limits.OfProcess()
	e.Bad = append(e.Bad, o.limits.Activator().Environment(env)...)
	level, release := cmp.Or(e.Value(envLogLevel), "info"), cmp.Or(e.Value(envRelease), autoRelease)
	f := o.flags(&level, &release)
	f.SetOutput(stderr)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.version {
		return o, nil
	}
	var err error
	if o.logLevel, err = zapcore.ParseLevel(level); err != nil {
		return o, fmt.Errorf("log level %q is none of debug, info, warn, error", level)
	}
	if release != autoRelease {
		if o.release, err = knative.ParseRelease(release); err != nil {
			return o, fmt.Errorf("-knative-release: %w, nor auto", err)
		}
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.onKubernetes() {
		if isSet(f, "metrics-port") {
			e.Fail("-metrics-port needs -config; on Kubernetes the ConfigMap %s configures metrics", o.observability)
		}
		o.forKubernetes(e, isSet(f, "profiling-port"))
	} else if o.podName == "" {
		o.podName = defaultActivator
	}
	return o, errors.Join(e.Bad...)
}

func fromEnvironment(e *program.Environment) options {
	return options{
		podName:             e.Value(knative.EnvPodName),
		podIP:               e.Value(knative.EnvPodIP),
		clusterDomain:       knative.ClusterDomain(e.Value(knative.EnvClusterDomain)),
		maxIdleConns:        program.Optional(e, knative.EnvMaxIdleConns, program.WantPositive, program.Positive),
		maxIdleConnsPerHost: program.Optional(e, knative.EnvMaxIdleConnsPerHost, program.WantPositive, program.Positive),
		probeTimeout:        program.Optional(e, knative.EnvProbeTimeout, program.WantDuration, program.Duration),
		probeFrequency:      program.Optional(e, knative.EnvProbeFrequency, program.WantDuration, program.Duration),
		bind:                e.Value(knative.EnvBindAddress),
		cookieKey:           program.Optional(e, envCookieKey, "a secret of at least 16 characters", cookieKey),
		autoscaler:          e.Value(envAutoscaler),
		classicMetrics:      program.Optional(e, envClassicMetrics, program.WantBool, strconv.ParseBool),
		namespace:           e.Value(knative.EnvSystemNamespace),
		kubeconfigs:         e.Value(envKubeconfig),
		loggingMap:          cmp.Or(e.Value(envLoggingMap), loggingMap),
		observability:       cmp.Or(e.Value(envObservability), observabilityMap),
	}
}

func (o *options) flags(level, release *string) *flag.FlagSet {
	f := flag.NewFlagSet("activator", flag.ContinueOnError)
	f.StringVar(&o.config, "config", "", "read revisions and pods from `FILE`, and again whenever it changes, instead of from Kubernetes")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "connect to the Kubernetes that this `FILE` names (default: $"+envKubeconfig+", else the pod's service account)")
	f.StringVar(&o.bind, "bind", o.bind, "listen on this `ADDRESS` only ($"+knative.EnvBindAddress+")")
	f.IntVar(&o.http1, "http1-port", knative.PortHTTP1, "`PORT` for requests; both ports accept HTTP/1.1 and h2c; 0: any free one")
	f.IntVar(&o.http2, "http2-port", knative.PortHTTP2, "second `PORT` for requests; 0: any free one")
	f.IntVar(&o.tlsPort, "tls-port", knative.PortTLS, "`PORT` for requests over TLS, on Kubernetes with system-internal-tls; 0: any free one")
	f.StringVar(&o.autoscaler, "autoscaler", o.autoscaler, "websocket `URL` of the autoscaler, such as ws://127.0.0.1:8080 (default on Kubernetes: Knative's; with -config: none, and statistics are not sent) ($"+envAutoscaler+")")
	f.IntVar(&o.metricsPort, "metrics-port", noPort, "with -config, `PORT` for Prometheus metrics on /metrics; 0: any free one; negative: none. On Kubernetes config-observability sets the port, by default "+strconv.Itoa(knative.PortActivator))
	f.BoolVar(&o.classicMetrics, "classic-metrics", o.classicMetrics, "give metrics the names in use up to Knative 1.18 ($"+envClassicMetrics+")")
	f.IntVar(&o.pprofPort, "profiling-port", noPort, "`PORT` for profiles on /debug/pprof/; 0: any free one; negative: none (default on Kubernetes: "+strconv.Itoa(knative.PortProfiling)+" or $"+knative.EnvProfilingPort+", if config-observability turns profiles on)")
	f.DurationVar(&o.drain, "drain", drainTime, "accept requests for this `TIME` after SIGTERM")
	f.DurationVar(&o.shutdown, "shutdown", shutdownTime, "then wait for requests in progress for this `TIME` at most")
	o.limits.Activator().Flags(f)
	f.StringVar(level, "log-level", *level, "debug, info, warn or error; on Kubernetes it holds until "+loggingMap+" has been read ($"+envLogLevel+")")
	f.StringVar(release, "knative-release", *release, "on Kubernetes, `RELEASE` of Knative Serving, such as 1.6; up to 1.7 only the queue-proxy enforces Revisions' timeouts; "+autoRelease+": the release in the labels of its ConfigMaps, else the newest ($"+envRelease+")")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	f.Usage = func() { usage(f) }
	return f
}

// forKubernetes checks that the variables which a pod needs are set, and applies Knative's defaults.
func (o *options) forKubernetes(e *program.Environment, pprofSet bool) {
	if o.kubeconfig == "" && o.kubeconfigs == "" && e.Value(envInPod) == "" {
		e.Bad = []error{errNowhere}
		return
	}
	for _, v := range []struct{ name, value, want string }{
		{knative.EnvPodName, o.podName, "the pod's name (metadata.name)"},
		{knative.EnvPodIP, o.podIP, "the pod's address (status.podIP)"},
		{knative.EnvSystemNamespace, o.namespace, "the namespace of Knative Serving (metadata.namespace)"},
	} {
		if v.value == "" {
			e.Fail("%s is missing, expected %s", v.name, v.want)
		}
	}
	program.Optional(e, knative.EnvPodIP, "an IP address", netip.ParseAddr)
	if !pprofSet {
		o.pprofPort = program.ServerPort(e, knative.EnvProfilingPort, knative.PortProfiling)
	}
	if o.autoscaler == "" {
		o.autoscaler = fmt.Sprintf(knativeAutoscaler, o.namespace, o.clusterDomain, knative.PortAutoscaler)
	}
	var err error
	if o.tls, err = knative.TLSFromEnv(knative.PrefixActivator, e.Lookup); err != nil {
		e.Bad = append(e.Bad, err)
	}
}

// cookieKey checks the secret that cookies are signed with: its error doesn't show it.
func cookieKey(secret string) ([]byte, error) {
	if len(secret) < 16 { // of random characters, 2⁹⁶ and more possibilities
		return nil, errors.New("it is too short")
	}
	return []byte(secret), nil
}

func isSet(f *flag.FlagSet, name string) (set bool) {
	f.Visit(func(g *flag.Flag) { set = set || g.Name == name })
	return set
}
