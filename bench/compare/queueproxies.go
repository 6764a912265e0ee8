package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bench/internal/load"
	"github.com/sluice-proxy/sluice/bench/internal/process"
)

// sluices are this project's contenders.
func sluices() []*contender {
	queue := build{"queue-proxy", ".", "./cmd/queue-proxy"}
	both := []build{queue, {"activator", ".", "./cmd/activator"}}
	return []*contender{
		{
			name: "queue-proxy", what: "this project's; containerConcurrency 100, accounting and metrics on",
			own: true, builds: []build{queue}, start: startQueueProxy,
		},
		{
			name: "activator", what: "this project's, in front of its queue-proxy, which isn't measured; knows 1000 pods, one of the revision asked for, and only that where memory is measured",
			own: true, builds: both, start: func(s *site, j job) (*stand, error) { return startActivator(s, j, others) },
		},
		{
			name: "activator-wide", what: "the same, where all 1000 are the revision's, so that each gets a request now and then",
			own: true, extra: true, builds: both, start: func(s *site, j job) (*stand, error) { return startActivator(s, j, same) },
		},
		{
			name: "pair", what: "this project's activator and the queue-proxy of its only pod, measured together",
			own: true, extra: true, builds: both, start: func(s *site, j job) (*stand, error) { return startPair(s, j, 1) },
		},
		{
			name: "pair-10", what: "the same with ten pods, whose queue-proxies are ten processes",
			own: true, extra: true, builds: both, start: func(s *site, j job) (*stand, error) { return startPair(s, j, 10) },
		},
	}
}

// podEnvironment has the variables that Knative's controller sets for either queue-proxy.
func podEnvironment(port, metricsPort, limit int, app string) []string {
	_, appPort, _ := net.SplitHostPort(app)
	return append(os.Environ(),
		"CONTAINER_CONCURRENCY="+strconv.Itoa(limit), "QUEUE_SERVING_PORT="+strconv.Itoa(port), "USER_PORT="+appPort,
		"REVISION_TIMEOUT_SECONDS=300", "REVISION_RESPONSE_START_TIMEOUT_SECONDS=0", "SERVING_LOGGING_LEVEL=error", "SERVING_NAMESPACE=default",
		"SERVING_SERVICE=bench", "SERVING_CONFIGURATION=bench", "SERVING_REVISION=bench", "SERVING_POD=bench-pod", "SERVING_POD_IP=127.0.0.1",
		fmt.Sprintf(`OBSERVABILITY_CONFIG={"requestMetrics":{"protocol":"prometheus","endpoint":"127.0.0.1:%d"}}`, metricsPort))
}

// startQueueProxy starts our queue-proxy. All clients come from one address, as through an ingress: one that is not trusted may
// use only half of each bound.
func startQueueProxy(s *site, j job) (*stand, error) {
	return startQueueProxyWith(s, j, "SLUICE_TRUSTED_PEERS=127.0.0.0/8")
}

// spare connections are for what else connects, such as probes.
const spare = 100

// startQueueProxyWith listens on all addresses, since an activator may have many pods.
func startQueueProxyWith(s *site, j job, more ...string) (*stand, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	env := append(podEnvironment(ports[0], ports[1], j.limit, j.upstream),
		"SERVING_LOGGING_CONFIG=", "SLUICE_ADMIN_PORT=0", "SLUICE_STATS_PORT="+strconv.Itoa(ports[2]), "SLUICE_ANNOUNCE_TO=off")
	if j.queue > 0 {
		env = append(env, "SLUICE_QUEUE_DEPTH="+strconv.Itoa(j.queue))
	}
	if j.connections > 0 {
		env = append(env, "SLUICE_MAX_HTTP2_CONNECTIONS="+strconv.Itoa(j.connections+spare))
	}
	env = slices.Concat(env, more, j.env)
	return s.serveOn(ports[0], process.Command{Name: "queue-proxy", Path: s.programs[j.program("queue-proxy")], Env: env, Dir: j.dir})
}

// startKnative starts Knative's queue-proxy, which also listens on the ports 8022 and 9090. Ten times its limit may wait, which
// can't be configured.
func startKnative(s *site, j job) (*stand, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	const logging = `{"level":"error","encoding":"json","outputPaths":["stderr"],"errorOutputPaths":["stderr"],"encoderConfig":{}}`
	env := append(podEnvironment(ports[0], ports[1], max(j.limit, j.queue/10), j.upstream),
		"SERVING_LOGGING_CONFIG="+logging, "QUEUE_SERVING_TLS_PORT="+strconv.Itoa(ports[2]))
	return s.serveOn(ports[0], process.Command{Name: "knative", Path: s.programs["queue"], Env: env, Dir: j.dir})
}

func freePorts(n int) (all []int, err error) {
	for range n {
		port, err := process.FreePort()
		if err != nil {
			return nil, err
		}
		all = append(all, port)
	}
	return all, nil
}

// Whose pods an activator has besides the one that gets requests.
type spread int

const (
	others spread = iota // other revisions'
	same                 // the same revision's
)

// startActivator starts our activator and queue-proxy; only the activator is measured. Its pods are one queue-proxy at many
// loopback addresses (127.0.0.0/8), so that all pass their probes. The queue-proxy trusts no peer, since it would then reject
// requests for other revisions.
func startActivator(s *site, j job, where spread) (*stand, error) {
	pod, err := startQueueProxyWith(s, j, "SLUICE_TRUSTED_PEERS=192.0.2.0/24") // an address for documentation (RFC 5737)
	if err != nil {
		return nil, err
	}
	_, podPort, _ := net.SplitHostPort(pod.addr)
	st, err := startActivatorOf(s, j, where, loopbacks(j.pods, podPort))
	if err != nil {
		pod.stop()
		return nil, err
	}
	st.beside = append(st.beside, pod.proxy)
	return st, nil
}

func loopbacks(n int, port string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("127.1.%d.%d:%s", i/250, i%250+1, port))
	}
	return all
}

// startPair starts our activator and the queue-proxies of a revision's pods, which trust it as in a cluster. All are measured.
func startPair(s *site, j job, pods int) (_ *stand, err error) {
	var (
		addrs []string
		all   []*process.Process
	)
	defer func() {
		if err != nil {
			for _, p := range all {
				p.Stop()
			}
		}
	}()
	for range pods {
		pod, err := startQueueProxy(s, j)
		if err != nil {
			return nil, err
		}
		addrs, all = append(addrs, pod.addr), append(all, pod.proxy)
	}
	st, err := startActivatorOf(s, j, same, addrs)
	if err != nil {
		return nil, err
	}
	st.with = all
	return st, nil
}

func startActivatorOf(s *site, j job, where spread, pods []string) (*stand, error) {
	file := filepath.Join(j.dir, "revisions.yaml")
	if err := os.WriteFile(file, []byte(revisions(pods, j.limit, j.queue, where)), 0o600); err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	args := []string{
		"-config", file, "-bind", "127.0.0.1", "-http1-port", strconv.Itoa(port), "-http2-port", "0", "-metrics-port", "0", "-log-level", "error",
		"-trusted-peers", "127.0.0.0/8",
	}
	if j.connections > 0 {
		args = append(args, "-max-http2-connections", strconv.Itoa(j.connections+spare))
	}
	return s.serveOn(port, process.Command{
		Name: "activator", Path: s.programs[j.program("activator")], Dir: j.dir, Args: append(args, j.args...), Env: append(os.Environ(), j.env...),
	})
}

// revisions is the activator's file. The host of requests is the first revision's.
func revisions(pods []string, limit, queue int, where spread) string {
	name, _, _ := strings.Cut(load.Host, ".")
	var b strings.Builder
	revision := func(name string) {
		fmt.Fprintf(&b, "- namespace: default\n  name: %s\n  containerConcurrency: %d\n  maxWaiting: %d\n  pods:\n", name, limit, queue)
	}
	b.WriteString("revisions:\n")
	revision(name)
	for i, addr := range pods {
		if i > 0 && where == others {
			revision(fmt.Sprintf("other-%d", i))
		}
		fmt.Fprintf(&b, "  - {address: '%s'}\n", addr)
	}
	return b.String()
}
