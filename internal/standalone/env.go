package standalone

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/internal/observability"
	"github.com/sluice-proxy/sluice/internal/standalone/catalog"
	"github.com/sluice-proxy/sluice/internal/standalone/manifest"
	"github.com/sluice-proxy/sluice/internal/standalone/replica"
)

// QueueProxyName is the argv[0] with which the binary runs as a queue-proxy.
const QueueProxyName = "sluice-queue-proxy"

// A drain can be quick: the activator has already removed the replica, and there are no other clients.
const (
	drainQuiet = 500 * time.Millisecond
	drainIdle  = 100 * time.Millisecond
)

// ports of a replica, in the order of portsOf.
type ports struct {
	app, serve, admin, stats int
	published                map[int]int // by port of its containers: others than the app's that are probed
}

func portsOf(p, inside []int) ports {
	all := ports{p[0], p[1], p[2], p[3], map[int]int{}}
	for i, port := range inside {
		all.published[port] = p[4+i]
	}
	return all
}

// of returns the port of this machine that a probe is of.
func (p ports) of(probe *manifest.Probe) int {
	if port := p.published[probe.Port]; port > 0 && probe.Host == "" {
		return port
	}
	return cmp.Or(probe.Port, p.app)
}

// queueProxyCommand returns the command of a replica's queue-proxy: this binary, with the contract's environment.
func queueProxyCommand(r *catalog.Revision, pod string, p ports, self, logLevel string, l limits.Limits, traces observability.Exporter) replica.Command {
	t := &r.Template
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	c := replica.Command{Path: self, Args: []string{QueueProxyName, pod}}
	for _, v := range [][2]string{
		{knative.EnvContainerConcurrency, strconv.Itoa(t.ContainerConcurrency)},
		{knative.EnvQueueServingPort, strconv.Itoa(p.serve)},
		{knative.EnvUserPort, strconv.Itoa(p.app)},
		{knative.EnvUserHost, replicaHost},
		{knative.EnvBindAddress, replicaHost},
		{knative.EnvAdminPort, strconv.Itoa(p.admin)},
		{knative.EnvStatsPort, strconv.Itoa(p.stats)},
		{knative.EnvRevisionTimeout, seconds(t.Timeout)},
		{knative.EnvResponseStartTimeout, seconds(t.ResponseStart)},
		{knative.EnvIdleTimeout, seconds(t.Idle)},
		{knative.EnvLoggingConfig, ""},
		{knative.EnvLoggingLevel, logLevel},
		{knative.EnvServingNamespace, r.Namespace},
		{knative.EnvServingService, r.Service},
		{knative.EnvServingConfiguration, r.Service},
		{knative.EnvServingRevision, r.Name},
		{knative.EnvServingPod, pod},
		{knative.EnvServingPodIP, replicaHost},
		{knative.EnvReadinessProbe, probeJSON(&t.Container.Probe, p.of(&t.Container.Probe))},
		{knative.EnvFullDuplex, strconv.FormatBool(fullDuplex(t))},
		{knative.EnvDrainQuiet, drainQuiet.String()},
		{knative.EnvDrainIdle, drainIdle.String()},
	} {
		c.Env = append(c.Env, v[0]+"="+v[1])
	}
	for _, s := range l.Heads() {
		c.Env = append(c.Env, s.Variable()+"="+s.Value.String())
	}
	c.Env = append(c.Env, tracesEnv(traces)...)
	return c
}

func fullDuplex(t *manifest.Template) bool {
	return strings.EqualFold(t.Annotation(manifest.AnnotationFullDuplex), "Enabled")
}

// probeJSON returns p as a Kubernetes probe of that port. Instead of an exec probe, which probes.go runs, it probes whether the
// port is open.
func probeJSON(p *manifest.Probe, port int) string {
	host := p.Host
	if host == "" {
		host = replicaHost
	}
	probe := map[string]any{
		"periodSeconds":    int(p.Period / time.Second),
		"timeoutSeconds":   int(p.Timeout / time.Second),
		"successThreshold": p.SuccessThreshold,
	}
	switch {
	case p.HTTP != nil:
		headers := []map[string]string{}
		for _, h := range p.HTTP.Headers {
			headers = append(headers, map[string]string{"name": h.Name, "value": h.Value})
		}
		probe["httpGet"] = map[string]any{
			"host": host, "port": port, "path": p.HTTP.Path, "scheme": p.HTTP.Scheme, "httpHeaders": headers,
		}
	case p.GRPC != nil:
		probe["grpc"] = map[string]any{"port": port, "service": p.GRPC.Service}
	default:
		probe["tcpSocket"] = map[string]any{"host": host, "port": port}
	}
	text, err := json.Marshal(probe)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}
