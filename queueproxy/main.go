package queueproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/sluice-proxy/sluice/internal/knative"
)

// Main is a queue-proxy as a program: it reads the environment, sets up logging and runs until ctx ends. It is what
// cmd/queue-proxy does, and what a program calls that brings extensions (see the options) or is several things at once.
// Its error is for the screen, one line for each variable that is wrong; what goes on later is logged to stderr, or
// where SERVING_LOGGING_CONFIG says. The request log goes to stdout.
func Main(ctx context.Context, opts ...Option) error {
	started := time.Now()
	o := newOptions(opts)
	e := &env{lookup: o.lookup}
	log := loggerFrom(e, o.stderr)
	if o.logger != nil {
		log = o.logger
	}
	c, err := ConfigFromEnv(o.lookup)
	if err := errors.Join(append([]error{err}, e.bad...)...); err != nil {
		return err
	}
	log = log.Named("queueproxy").With(
		zap.String("knative.dev/key", c.Identity.Namespace+"/"+c.Identity.Revision),
		zap.String("knative.dev/pod", c.Identity.Pod))
	defer func() { _ = log.Sync() }() // it fails on terminals

	for _, what := range observabilityFrom(&env{lookup: o.lookup}).unsupported {
		log.Warn("asked for and not done: " + what)
	}
	o.into(&c)
	p, err := New(c, log)
	if err != nil {
		return err
	}
	if err := p.Listen(); err != nil {
		return err
	}
	log.Info("listening", zap.Any("addresses", p.Addrs()), zap.String("app", c.UserAddr),
		zap.Int("containerConcurrency", c.ContainerConcurrency), zap.Duration("startup", time.Since(started)))
	if err := p.Run(ctx); err != nil {
		return err
	}
	log.Info("ended")
	return nil
}

// variable is one of the environment, for WriteUsage.
type variable struct{ name, fallback, meaning string }

const needed = "required"

// variables lists what ConfigFromEnv and Main read, in the order of the contract.
func variables() []variable {
	return []variable{
		{knative.EnvContainerConcurrency, needed, "requests that the app gets at once; 0: no limit"},
		{knative.EnvQueueServingPort, needed, "port of requests and probes"},
		{knative.EnvUserPort, needed, "port of the app"},
		{knative.EnvRevisionTimeout, needed, "seconds for a whole request and for a drain; 0: none, 300 for a drain"},
		{knative.EnvLoggingConfig, needed, "zap configuration, JSON; may be empty: JSON lines on stderr"},
		{knative.EnvLoggingLevel, needed, "debug, info, warn or error; may be empty: as the configuration says, else info"},
		{knative.EnvServingNamespace, needed, "namespace of the revision"},
		{knative.EnvServingConfiguration, needed, "name of the configuration; may be empty"},
		{knative.EnvServingRevision, needed, "name of the revision"},
		{knative.EnvServingPod, needed, "name of the pod"},
		{knative.EnvServingPodIP, needed, "IP address of the pod"},
		{knative.EnvServingService, "", "name of the service"},
		{knative.EnvResponseStartTimeout, "0", "seconds until the first byte of an answer; 0: no bound"},
		{knative.EnvIdleTimeout, "0", "seconds without a byte in either direction; 0: no bound"},
		{knative.EnvMaxDuration, "", "classic: seconds for a whole request; " + knative.EnvRevisionTimeout + " is then the first byte's"},
		{knative.EnvReadinessProbe, "", "readiness probe of the app, JSON of a Kubernetes probe; empty: always ready"},
		{knative.EnvMultiContainerProbes, "false", "whether the probe is a list of probes"},
		{knative.EnvHTTP2AutoDetection, "false", "whether HTTP probes try HTTP/2 first"},
		{knative.EnvFullDuplex, "false", "checked only: an HTTP/1.1 app may always answer while it still reads the request"},
		{knative.EnvObservabilityConfig, "", "request metrics and profiling, JSON of Knative's config-observability"},
		{knative.EnvRequestMetricsBackend, "none", "classic: none or prometheus"},
		{knative.EnvEnableRequestLog, "false", "classic: not done yet"},
		{knative.EnvEnableProbeRequestLog, "false", "classic: not done yet"},
		{knative.EnvEnableProfiling, "false", "classic: whether profiles are served"},
		{knative.EnvProfilingPort, "8008", "port of profiles, when they are on; 0: none"},
		{knative.EnvQueueServingTLSPort, "8112", "port of requests inside TLS, when there is a certificate"},
		{knative.EnvCertsDir, knative.CertsDir, "directory of " + knative.CertFile + " and " + knative.KeyFile + "; followed when they change"},
		{knative.EnvTLSMinVersion, "1.3", "lowest version of TLS: 1.2 or 1.3"},
		{knative.EnvTLSMaxVersion, "", "highest version; empty: Go's highest"},
		{knative.EnvTLSCipherSuites, "", "names of cipher suites of TLS 1.2, between commas; empty: Go's choice"},
		{knative.EnvTLSCurvePreferences, "", "names of curves such as X25519, between commas; empty: Go's choice"},
		{knative.EnvBindAddress, "", "host or IP address that all ports listen on; empty: all"},
		{knative.EnvAdminPort, "8022", "port of " + knative.AdminDrainPath + "; 0: none"},
		{knative.EnvStatsPort, "9090", "port of the autoscaler's /metrics; 0: none"},
		{knative.EnvMetricsPort, "9091", "port of Prometheus' /metrics, when request metrics are on; 0: none"},
		{knative.EnvUserHost, "127.0.0.1", "where the app listens"},
		{knative.EnvQueueDepth, "", "requests that may wait; empty or 0: ten times " + knative.EnvContainerConcurrency},
		{knative.EnvFullStatus, "503", "status when no more may wait: 503 or 429"},
		{knative.EnvQueueDeadline, "", "how long one may wait, not counted against its timeout; empty: as long as the timeout"},
		{knative.EnvTrustedPeers, "", "CIDRs of the peers whose internal headers are heeded; empty: all"},
		{knative.EnvDrainQuiet, "30s", "time without a request after which a drain closes the listeners"},
		{knative.EnvDrainIdle, "5s", "the same once nothing is in flight and a prober has been told"},
	}
}

// WriteUsage lists the variables that ConfigFromEnv and Main read, with their defaults and meanings.
func WriteUsage(w io.Writer) error {
	for _, v := range variables() {
		state := v.fallback
		if state == "" {
			state = "empty"
		}
		if state != needed {
			state = "default " + state
		}
		if _, err := fmt.Fprintf(w, "  %s (%s)\n        %s\n", v.name, state, v.meaning); err != nil {
			return err
		}
	}
	return nil
}
