package queueproxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/limits"
	"github.com/sluice-proxy/sluice/proxy"
)

// Off, as an address, means that nothing listens there.
const Off = "off"

// Defaults of Config.
const (
	DefaultQueueFactor = 10               // waiting requests for each slot (contract, "Concurrency")
	DefaultDrainQuiet  = 30 * time.Second // what Knative's queue-proxy waits
	DefaultDrainIdle   = 5 * time.Second
	// DefaultGracePeriod is the timeoutSeconds of a revision that sets none, and so the grace period of its pods.
	DefaultGracePeriod = 300 * time.Second
	// FlushTime is how much of the pod's grace period, at most, a drain leaves once Run has returned, for the program to send
	// its last telemetry.
	FlushTime = time.Second
)

// DialFunc opens a connection to the app. It must return when ctx ends.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Config of a queue-proxy. UserAddr is required; the zero value of any other field stands for its documented default.
type Config struct {
	// Identity names the pod in stats, metrics and logs.
	Identity Identity
	// Addrs is where Run listens. It isn't used by Handler.
	Addrs Addrs

	// UserAddr is where the app listens, host:port.
	UserAddr string
	// Dial opens connections to UserAddr; nil: TCP. An app in the same process needs no port if Dial connects to it.
	Dial DialFunc

	// ContainerConcurrency is how many requests the app gets at once. 0: no limit, and no queue.
	ContainerConcurrency int
	// QueueDepth is how many more may wait. 0: ten for each slot.
	QueueDepth int
	// FullStatus is the status of the response when the queue is full: 503, or 429 for clients that back off on that alone. 0:
	// 503.
	FullStatus int
	// QueueDeadline bounds the wait. Once set, waiting does not count against Timeouts. 0: off.
	QueueDeadline time.Duration
	// Timeouts of a request, each off when 0.
	Timeouts proxy.Timeouts

	// Probes check the app, which is ready when all succeed. None: it is always ready.
	Probes []Probe
	// HTTP2AutoDetection has HTTP probes try HTTP/2 with prior knowledge first.
	HTTP2AutoDetection bool

	// Server has the limits on what clients may send, and on what is held for them. Its OnRejected and ErrorLog aren't used.
	// Zero fields have their defaults there, except that MaxHead is 4 KiB more and MaxFields 24 more, which is room for what
	// an activator and an ingress add to a request that they have accepted, and that MaxConns, MaxTLSConns, MaxHTTP2Conns and
	// MaxUnfinishedHeads follow from the memory that the process may use (docs/operations.md, "Bounds"). TrustedPeers are
	// added to its Proxies.
	Server proxy.ServerConfig
	// MaxWaitingBytes bounds the heads of requests that wait. 0: it follows from the memory.
	MaxWaitingBytes int64

	// TrustedPeers are the addresses from which K-Proxy-Request, K-Original-Host and Sluice-No-Queue are accepted; from others
	// these headers are removed. Empty: all addresses, since a pod can't distinguish its activators from its clients.
	TrustedPeers []netip.Prefix

	// CertsDir has the pod's certificate, tls.crt and tls.key. If both files exist when Listen is called, requests are also
	// served on Addrs.TLS; later changes of the files are applied. The pod isn't ready before there has been a usable pair.
	// "": no TLS.
	CertsDir string
	// TLS has the versions, cipher suites and curves of Addrs.TLS. Nil: TLS 1.3.
	TLS *tls.Config

	// Announce makes the pod announce itself to the activators when it starts. The zero value: it doesn't.
	Announce Announce

	// DrainQuiet is the time without a new request after which a drain closes the listeners. 0: 30 s.
	DrainQuiet time.Duration
	// DrainIdle replaces it once a probe has been answered that the pod is shutting down and nothing is in flight. 0: 5 s. If
	// the pod has never been probed, a second without a request and with nothing in flight is enough, before the drain or
	// during it.
	DrainIdle time.Duration
	// GracePeriod is the pod's. A drain ends a tenth of it earlier, or 1.5 s if that is less, which is for closing connections
	// and for the last telemetry. 0: Timeouts.Total, or 300 s when that is off, as Knative sets it.
	GracePeriod time.Duration

	// RequestMetrics says whether requests are counted for Prometheus, and under which names. The zero value: no.
	RequestMetrics RequestMetrics
	// Registry gets the collectors. Nil: one of its own, with nothing else in it, which nothing can serve.
	Registry *prometheus.Registry
	// WrapPolicy, when not nil, is called once by New with the queue-proxy's own policy; the policy that it returns is used
	// instead, for requests and for probes. See sidecar.WithPolicy.
	WrapPolicy func(proxy.Policy) proxy.Policy
	// WrapHandler, when not nil, is called once by New; the handler that it returns gets every request but probes. All requests
	// are then served by net/http, which New logs. See sidecar.WithHandler.
	WrapHandler func(http.Handler) http.Handler

	// Profiling serves the program's profiles on Addrs.Profiling.
	Profiling bool
	// Pages serve metrics and profiles. They are handlers from outside, so that a program without them links none.
	Pages Pages

	// Ignored has a line for each setting that sidecar.ConfigFromEnv found, can't use, and did without. New logs them.
	Ignored []string
}

// Pages are the handlers of Prometheus' /metrics, such as promhttp's of Config.Registry, and of what is below /debug/pprof/, such
// as net/http/pprof's. Where one is nil its port isn't opened.
type Pages struct{ Metrics, Profiles http.Handler }

// Identity names a pod.
type Identity struct {
	Namespace, Service, Configuration, Revision, Pod, PodIP string
	// Host is k8s.pod.name in OpenTelemetry's metrics and traces, for which Knative takes the host's name. "": Pod.
	Host string
}

// Addrs are the addresses of a queue-proxy's listeners, host:port as in net.Listen. Port 0 is any free port; Off: no listener.
type Addrs struct {
	Serve     string // requests, HTTP/1.1 and HTTP/2 with prior knowledge; "": :8012
	Admin     string // /wait-for-drain; "": :8022
	Stats     string // the autoscaler's /metrics; "": :9090
	Metrics   string // Prometheus' /metrics, only with RequestMetrics and Pages.Metrics; "": :9091
	Profiling string // only with Profiling and Pages.Profiles; "": :8008
	TLS       string // requests inside TLS, only with a certificate; "": :8112
}

// RequestMetrics selects the metrics of requests.
type RequestMetrics uint8

// The choices.
const (
	MetricsOff        RequestMetrics = iota
	MetricsPrometheus                // current names
	MetricsClassic                   // for Prometheus, under the names in use up to Knative 1.18
	MetricsCollected                 // current names, in Registry alone: the program exports them
)

// Validate reports, joined, every field that can't be used.
func (c Config) Validate() error {
	var bad []error
	wrong := func(field, format string, args ...any) {
		bad = append(bad, fmt.Errorf("queueproxy: Config."+field+" "+format, args...))
	}
	if err := checkAddr(c.UserAddr, false); err != nil {
		wrong("UserAddr", "%w", err)
	}
	for _, a := range []struct{ field, addr string }{
		{"Serve", c.Addrs.Serve},
		{"Admin", c.Addrs.Admin},
		{"Stats", c.Addrs.Stats},
		{"Metrics", c.Addrs.Metrics},
		{"Profiling", c.Addrs.Profiling},
		{"TLS", c.Addrs.TLS},
	} {
		if a.addr == "" || a.addr == Off {
			continue
		}
		if err := checkAddr(a.addr, true); err != nil {
			wrong("Addrs."+a.field, "%w", err)
		}
	}
	if err := c.Announce.Validate(); err != nil {
		wrong("Announce", "%w", err)
	}
	if c.ContainerConcurrency < 0 {
		wrong("ContainerConcurrency", "%d is negative", c.ContainerConcurrency)
	}
	if c.QueueDepth < 0 {
		wrong("QueueDepth", "%d is negative", c.QueueDepth)
	}
	if c.MaxWaitingBytes < 0 {
		wrong("MaxWaitingBytes", "%d is negative", c.MaxWaitingBytes)
	}
	if c.FullStatus != 0 && !slices.Contains(FullStatuses(), c.FullStatus) {
		wrong("FullStatus", "%d is neither 503 nor 429", c.FullStatus)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"QueueDeadline", c.QueueDeadline},
		{"Timeouts.Total", c.Timeouts.Total},
		{"Timeouts.ResponseStart", c.Timeouts.ResponseStart},
		{"Timeouts.Idle", c.Timeouts.Idle},
		{"DrainQuiet", c.DrainQuiet},
		{"DrainIdle", c.DrainIdle},
		{"GracePeriod", c.GracePeriod},
	} {
		if d.value < 0 {
			wrong(d.field, "%v is negative", d.value)
		}
	}
	if c.RequestMetrics > MetricsCollected {
		wrong("RequestMetrics", "%d is none of its constants", c.RequestMetrics)
	}
	for i, p := range c.Probes {
		if err := p.Validate(); err != nil {
			wrong("Probes["+strconv.Itoa(i)+"]", "%w", err)
		}
	}
	return errors.Join(bad...)
}

// FullStatuses are the values that Config.FullStatus may have.
func FullStatuses() []int { return []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} }

func checkAddr(addr string, anyPort bool) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is no host:port", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !anyPort {
		return fmt.Errorf("%q has no port number", addr)
	}
	return nil
}

// withDefaults fills in what the zero values stand for.
func (c Config) withDefaults() Config {
	c.Identity.Host = cmp.Or(c.Identity.Host, c.Identity.Pod)
	or := func(addr *string, port int) { *addr = cmp.Or(*addr, ":"+strconv.Itoa(port)) }
	or(&c.Addrs.Serve, knative.PortHTTP1)
	or(&c.Addrs.Admin, knative.PortQueueAdmin)
	or(&c.Addrs.Stats, knative.PortQueueStats)
	or(&c.Addrs.Metrics, knative.PortQueueMetrics)
	or(&c.Addrs.Profiling, knative.PortProfiling)
	or(&c.Addrs.TLS, knative.PortTLS)
	l := limits.OfProcess().Behind()
	defaults := l.Server(proxy.ServerConfig{})
	c.Server.MaxHead = cmp.Or(c.Server.MaxHead, defaults.MaxHead)
	c.Server.MaxFields = cmp.Or(c.Server.MaxFields, defaults.MaxFields)
	c.Server.MaxConns = cmp.Or(c.Server.MaxConns, defaults.MaxConns)
	c.Server.MaxTLSConns = cmp.Or(c.Server.MaxTLSConns, defaults.MaxTLSConns)
	c.Server.MaxHTTP2Conns = cmp.Or(c.Server.MaxHTTP2Conns, defaults.MaxHTTP2Conns)
	c.Server.MaxHeld = cmp.Or(c.Server.MaxHeld, defaults.MaxHeld)
	c.Server.MaxUnfinishedHeads = cmp.Or(c.Server.MaxUnfinishedHeads, defaults.MaxUnfinishedHeads)
	c.Server.Proxies = slices.Concat(c.Server.Proxies, c.TrustedPeers)
	c.MaxWaitingBytes = cmp.Or(c.MaxWaitingBytes, int64(l.WaitingBytes))
	c.QueueDepth = cmp.Or(c.QueueDepth, DefaultQueueFactor*c.ContainerConcurrency)
	c.FullStatus = cmp.Or(c.FullStatus, http.StatusServiceUnavailable)
	c.DrainQuiet = cmp.Or(c.DrainQuiet, DefaultDrainQuiet)
	c.DrainIdle = cmp.Or(c.DrainIdle, DefaultDrainIdle)
	c.GracePeriod = cmp.Or(c.GracePeriod, c.Timeouts.Total, DefaultGracePeriod)
	return c
}
