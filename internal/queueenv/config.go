// Package queueenv reads the environment that Knative gives a queue-proxy.
//
//	e := &program.Environment{Lookup: os.LookupEnv}
//	log, config := queueenv.Logger(e, os.Stderr), queueenv.Config(e)
//	if err := errors.Join(e.Bad...); err != nil {
//		return err
//	}
//
// A program that runs a queue-proxy without telemetry needs no more than this and package queueproxy; queueproxy/sidecar adds
// the rest.
package queueenv

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/program"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/queueproxy"
)

// Config reads the variables of the contract, except those of metrics, traces, logs and profiles, which are off in the
// result. It adds a line to e.Bad for each variable that is missing or malformed.
func Config(e *program.Environment) queueproxy.Config {
	c := queueproxy.Config{
		Identity:             identityFrom(e),
		ContainerConcurrency: program.Required(e, knative.EnvContainerConcurrency, "a number of requests, 0 for no limit", program.Count),
		QueueDepth:           program.Optional(e, knative.EnvQueueDepth, "a number of requests", program.Count),
		FullStatus:           program.Optional(e, knative.EnvFullStatus, "503 or 429", parseFullStatus),
		QueueDeadline:        program.Optional(e, knative.EnvQueueDeadline, program.WantDuration, program.Duration),
		HTTP2AutoDetection:   program.Optional(e, knative.EnvHTTP2AutoDetection, program.WantBool, strconv.ParseBool),
		TrustedPeers:         program.Optional(e, knative.EnvTrustedPeers, "a comma-separated list of CIDRs", program.Prefixes),
		DrainQuiet:           program.Optional(e, knative.EnvDrainQuiet, program.WantDuration, program.Duration),
		DrainIdle:            program.Optional(e, knative.EnvDrainIdle, program.WantDuration, program.Duration),
	}
	program.Optional(e, knative.EnvFullDuplex, program.WantBool, strconv.ParseBool) // checked only: see WriteUsage
	var l limits.Limits                                                             // New sets the defaults
	e.Bad = append(e.Bad, l.All().Environment(e.Lookup)...)
	c.Server, c.MaxWaitingBytes = l.Server(proxy.ServerConfig{}), int64(l.WaitingBytes)
	c.Timeouts, c.GracePeriod = timeoutsFrom(e)
	appFrom(e, &c)
	c.Addrs = addrsFrom(e)
	c.CertsDir, c.TLS = tlsFrom(e)
	c.Announce = announceFrom(e)
	return c
}

func identityFrom(e *program.Environment) queueproxy.Identity {
	return queueproxy.Identity{
		Namespace:     program.Required(e, knative.EnvServingNamespace, program.WantText, program.Text),
		Service:       e.Value(knative.EnvServingService),
		Configuration: e.Present(knative.EnvServingConfiguration),
		Revision:      program.Required(e, knative.EnvServingRevision, program.WantText, program.Text),
		Pod:           program.Required(e, knative.EnvServingPod, program.WantText, program.Text),
		PodIP:         program.Required(e, knative.EnvServingPodIP, "an IP address", netip.ParseAddr).String(),
		Host:          cmp.Or(e.Value(knative.EnvPodName), e.Value(knative.EnvHostname)),
	}
}

// appFrom reads the address of the app and its readiness probes.
func appFrom(e *program.Environment, c *queueproxy.Config) {
	port := program.Required(e, knative.EnvUserPort, program.WantPort, program.Port)
	host := e.Value(knative.EnvUserHost)
	if host == "" {
		host = "127.0.0.1"
	}
	c.UserAddr = net.JoinHostPort(host, strconv.Itoa(port))
	list := program.Optional(e, knative.EnvMultiContainerProbes, program.WantBool, strconv.ParseBool)
	if port == 0 {
		return // a probe may need the port
	}
	var err error
	c.Probes, err = queueproxy.ParseProbes(e.Value(knative.EnvReadinessProbe), list, host, port)
	if err != nil {
		what := "a probe"
		if list {
			what = "a list of probes"
		}
		e.Fail("%s is not the JSON of %s: %w", knative.EnvReadinessProbe, what, err)
	}
}

// tlsFrom reads the directory of the certificate and the settings of TLS. It reports a mistake even if no certificate is
// mounted, so that it doesn't first appear when TLS is turned on.
func tlsFrom(e *program.Environment) (dir string, settings *tls.Config) {
	settings, err := knative.TLSFromEnv(knative.PrefixQueueProxy, e.Lookup)
	if err != nil {
		e.Bad = append(e.Bad, err)
	}
	return cmp.Or(e.Value(knative.EnvCertsDir), knative.CertsDir), settings
}

// addrsFrom reads the ports.
func addrsFrom(e *program.Environment) queueproxy.Addrs {
	host := program.Optional(e, knative.EnvBindAddress, "a host name or an IP address", program.Host)
	own := func(name string, fallback int) string {
		port := program.ServerPort(e, name, fallback)
		if port == 0 {
			return queueproxy.Off
		}
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	a := queueproxy.Addrs{
		Serve:     net.JoinHostPort(host, strconv.Itoa(program.Required(e, knative.EnvQueueServingPort, program.WantPort, program.Port))),
		Admin:     own(knative.EnvAdminPort, knative.PortQueueAdmin),
		Stats:     own(knative.EnvStatsPort, knative.PortQueueStats),
		Metrics:   own(knative.EnvMetricsPort, knative.PortQueueMetrics),
		Profiling: own(knative.EnvProfilingPort, knative.PortProfiling),
	}
	tlsPort := program.Optional(e, knative.EnvQueueServingTLSPort, program.WantPort, program.Port)
	a.TLS = net.JoinHostPort(host, strconv.Itoa(cmp.Or(tlsPort, knative.PortTLS)))
	return a
}

// timeoutsFrom reads the timeouts of requests. Knative 1.7 and later always set the response-start variable, even to 0. If it
// isn't set, the variables have their classic meaning: REVISION_TIMEOUT_SECONDS bounds the first byte, and
// MAX_DURATION_SECONDS, which only 1.2 sets, the whole request (contract, "Releases"). In both cases REVISION_TIMEOUT_SECONDS
// is the pod's grace period.
func timeoutsFrom(e *program.Environment) (t proxy.Timeouts, gracePeriod time.Duration) {
	t = proxy.Timeouts{
		Total:         program.Required(e, knative.EnvRevisionTimeout, program.WantSeconds, program.Seconds),
		ResponseStart: program.Optional(e, knative.EnvResponseStartTimeout, program.WantSeconds, program.Seconds),
		Idle:          program.Optional(e, knative.EnvIdleTimeout, program.WantSeconds, program.Seconds),
	}
	gracePeriod = t.Total
	longest := program.Optional(e, knative.EnvMaxDuration, program.WantSeconds, program.Seconds)
	if _, current := e.Lookup(knative.EnvResponseStartTimeout); !current {
		t.Total, t.ResponseStart = longest, t.Total
	}
	return t, gracePeriod
}

// announceFrom reads the address of the activators and the token's file, if Knative has mounted one.
func announceFrom(e *program.Environment) queueproxy.Announce {
	a := queueproxy.Announce{Activators: e.Value(knative.EnvAnnounceTo), TokenFile: e.Value(knative.EnvAnnounceToken)}
	if a.Activators == queueproxy.Off {
		return queueproxy.Announce{}
	}
	if a.Activators != "" {
		if err := a.Validate(); err != nil {
			e.Fail("%s is %q, expected host:port or off", knative.EnvAnnounceTo, a.Activators)
		}
	} else if ns := e.Value(knative.EnvSystemNamespace); ns != "" {
		// The name is absolute, so that the resolver doesn't try the domains of its search list first.
		host := knative.ActivatorService + "." + ns + ".svc." + knative.ClusterDomain(e.Value(knative.EnvClusterDomain)) + "."
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

func parseFullStatus(v string) (int, error) {
	for _, status := range queueproxy.FullStatuses() {
		if v == strconv.Itoa(status) {
			return status, nil
		}
	}
	return 0, program.ErrRange
}
