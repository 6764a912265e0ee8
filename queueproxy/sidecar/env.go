package sidecar

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// ConfigFromEnv reads the contract's environment; WriteUsage lists it. lookup is os.LookupEnv or like it. The error has
// one line for each variable that is missing or malformed: its name, what it holds, what was expected. A value that may
// hold a secret, as JSON may, is not repeated. What only says how the pod tells of itself (metrics, traces, logs, profiles)
// is no error: queueproxy.Config.Ignored has what of it can't be used.
//
// The request log, traces and metrics that are pushed are Main's, not a Config's.
func ConfigFromEnv(lookup func(string) (string, bool)) (queueproxy.Config, error) {
	e := &env{lookup: lookup}
	c := configFrom(e, observedFrom(e))
	if err := errors.Join(e.bad...); err != nil {
		return queueproxy.Config{}, err
	}
	return c, nil
}

func configFrom(e *env, o observed) queueproxy.Config {
	c := queueproxy.Config{
		Identity:             identityFrom(e),
		ContainerConcurrency: required(e, knative.EnvContainerConcurrency, "a number of requests, 0 for no limit", parseCount),
		QueueDepth:           optional(e, knative.EnvQueueDepth, "a number of requests", parseCount),
		FullStatus:           optional(e, knative.EnvFullStatus, "503 or 429", parseFullStatus),
		QueueDeadline:        optional(e, knative.EnvQueueDeadline, wantDuration, parseDuration),
		HTTP2AutoDetection:   optional(e, knative.EnvHTTP2AutoDetection, wantBool, strconv.ParseBool),
		TrustedPeers:         optional(e, knative.EnvTrustedPeers, "a comma-separated list of CIDRs", parsePrefixes),
		DrainQuiet:           optional(e, knative.EnvDrainQuiet, wantDuration, parseDuration),
		DrainIdle:            optional(e, knative.EnvDrainIdle, wantDuration, parseDuration),
	}
	optional(e, knative.EnvFullDuplex, wantBool, strconv.ParseBool) // checked only: see WriteUsage
	var l limits.Limits                                             // what isn't set is New's to fill in
	e.bad = append(e.bad, l.All().Environment(e.lookup)...)
	c.Server, c.MaxWaitingBytes = l.Server(proxy.ServerConfig{}), int64(l.WaitingBytes)
	c.Timeouts, c.GracePeriod = timeoutsFrom(e)
	appFrom(e, &c)
	c.RequestMetrics, c.Profiling = o.metrics(), o.Profiling
	c.Addrs = addrsFrom(e)
	if c.RequestMetrics == queueproxy.MetricsPrometheus && e.value(knative.EnvMetricsPort) == "" {
		c.Addrs.Metrics = cmp.Or(o.RequestMetrics.Endpoint, c.Addrs.Metrics)
	}
	c.CertsDir, c.TLS = tlsFrom(e)
	c.Announce = announceFrom(e)
	c.Ignored = e.ignored
	return c
}

func identityFrom(e *env) queueproxy.Identity {
	return queueproxy.Identity{
		Namespace:     required(e, knative.EnvServingNamespace, wantText, parseText),
		Service:       e.value(knative.EnvServingService),
		Configuration: e.present(knative.EnvServingConfiguration),
		Revision:      required(e, knative.EnvServingRevision, wantText, parseText),
		Pod:           required(e, knative.EnvServingPod, wantText, parseText),
		PodIP:         required(e, knative.EnvServingPodIP, "an IP address", netip.ParseAddr).String(),
		Host:          cmp.Or(e.value(knative.EnvPodName), e.value(knative.EnvHostname)),
	}
}

// appFrom reads where the app is and how to tell that it is ready.
func appFrom(e *env, c *queueproxy.Config) {
	port := required(e, knative.EnvUserPort, wantPort, parsePort)
	host := e.value(knative.EnvUserHost)
	if host == "" {
		host = "127.0.0.1"
	}
	c.UserAddr = net.JoinHostPort(host, strconv.Itoa(port))
	list := optional(e, knative.EnvMultiContainerProbes, wantBool, strconv.ParseBool)
	if port == 0 {
		return // a probe may make use of it
	}
	var err error
	c.Probes, err = queueproxy.ParseProbes(e.value(knative.EnvReadinessProbe), list, host, port)
	if err != nil {
		what := "a probe"
		if list {
			what = "a list of probes"
		}
		e.fail("%s is not the JSON of %s: %w", knative.EnvReadinessProbe, what, err)
	}
}

// tlsFrom reads where the certificate is and what an administrator says of TLS. It is read, and refused, also where
// nothing is mounted: a mistake shows now and not when TLS is turned on.
func tlsFrom(e *env) (dir string, settings *tls.Config) {
	settings, err := knative.TLSFromEnv(knative.PrefixQueueProxy, e.lookup)
	if err != nil {
		e.bad = append(e.bad, err)
	}
	return cmp.Or(e.value(knative.EnvCertsDir), knative.CertsDir), settings
}

// addrsFrom reads the ports.
func addrsFrom(e *env) queueproxy.Addrs {
	host := optional(e, knative.EnvBindAddress, "a host name or an IP address", parseHost)
	own := func(name string, fallback int) string {
		port := fallback
		if e.value(name) != "" {
			port = optional(e, name, wantPort+", or 0 for none", parsePortOrNone)
		}
		if port == 0 {
			return queueproxy.Off
		}
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	a := queueproxy.Addrs{
		Serve:     net.JoinHostPort(host, strconv.Itoa(required(e, knative.EnvQueueServingPort, wantPort, parsePort))),
		Admin:     own(knative.EnvAdminPort, knative.PortQueueAdmin),
		Stats:     own(knative.EnvStatsPort, knative.PortQueueStats),
		Metrics:   own(knative.EnvMetricsPort, knative.PortQueueMetrics),
		Profiling: own(knative.EnvProfilingPort, knative.PortProfiling),
	}
	tlsPort := optional(e, knative.EnvQueueServingTLSPort, wantPort, parsePort)
	a.TLS = net.JoinHostPort(host, strconv.Itoa(cmp.Or(tlsPort, knative.PortTLS)))
	return a
}

// timeoutsFrom reads the timeouts of requests. Knative 1.7 and later always set the response-start variable, if only to
// 0. Where it isn't set at all they have their classic meaning: REVISION_TIMEOUT_SECONDS bounds the first byte, and
// MAX_DURATION_SECONDS, which 1.2 alone sets, the whole (contract, "Releases"). What REVISION_TIMEOUT_SECONDS says is the
// pod's grace period in either.
func timeoutsFrom(e *env) (t proxy.Timeouts, gracePeriod time.Duration) {
	t = proxy.Timeouts{
		Total:         required(e, knative.EnvRevisionTimeout, wantSeconds, parseSeconds),
		ResponseStart: optional(e, knative.EnvResponseStartTimeout, wantSeconds, parseSeconds),
		Idle:          optional(e, knative.EnvIdleTimeout, wantSeconds, parseSeconds),
	}
	gracePeriod = t.Total
	longest := optional(e, knative.EnvMaxDuration, wantSeconds, parseSeconds)
	if _, current := e.lookup(knative.EnvResponseStartTimeout); !current {
		t.Total, t.ResponseStart = longest, t.Total
	}
	return t, gracePeriod
}

// announceFrom reads where activators are and the token, if Knative has mounted one.
func announceFrom(e *env) queueproxy.Announce {
	a := queueproxy.Announce{Activators: e.value(knative.EnvAnnounceTo), TokenFile: e.value(knative.EnvAnnounceToken)}
	if a.Activators == queueproxy.Off {
		return queueproxy.Announce{}
	}
	if a.Activators != "" {
		if err := a.Validate(); err != nil {
			e.fail("%s is %q, expected host:port or off", knative.EnvAnnounceTo, a.Activators)
		}
	} else if ns := e.value(knative.EnvSystemNamespace); ns != "" {
		// Absolute, so that it is looked up once and not with each domain of the search list before it.
		host := knative.ActivatorService + "." + ns + ".svc." + knative.ClusterDomain(e.value(knative.EnvClusterDomain)) + "."
		a.Activators = net.JoinHostPort(host, strconv.Itoa(knative.PortActivatorService))
	}
	if a.TokenFile == "" {
		a.TokenFile = filepath.Join(knative.TokenDir, knative.AudienceSluice)
		if _, err := os.Stat(a.TokenFile); err != nil {
			return queueproxy.Announce{} // the operator has not asked for it
		}
	}
	return a
}
