package activator

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// Config of an Activator. The zero value is valid; each zero field stands for its default.
type Config struct {
	// PodName names this activator in its reports. Default: activator.
	PodName string
	// PodIP is this activator in the lists of UpdatePeers. Empty: it uses all pods of every revision.
	PodIP string
	// ClusterDomain ends the Host of a request that has no headers to name its revision. Default: cluster.local.
	ClusterDomain string

	// ProbeTimeout bounds one probe of a pod, from the dial on. Default: 300 ms.
	ProbeTimeout time.Duration
	// ProbeFrequency is the longest pause between two probes of a pod while a request waits for its revision; while none waits
	// the pause grows to 5 s. Default: 200 ms. After probes that fail quickly the pause is 1 ms at first; a probe that the
	// queue-proxy has held open is followed by the next at once.
	ProbeFrequency time.Duration
	// MaxProbeDials bounds the probes, over all pods, that are being dialled and sent; those that wait for a response
	// don't count. Default: 512.
	MaxProbeDials int

	// MeshMode says whether a mesh may stand between the activator and the pods. Default: MeshAuto.
	MeshMode MeshMode
	// Passthrough is enable-mesh-pod-addressability of Knative's config-network: requests and probes carry the private
	// Service as their Host (Endpoints.Service) and K-Passthrough-Lb, by which a mesh lets a pod be addressed. The
	// cluster IP is then never used, and MeshEnabled is as MeshAuto.
	Passthrough bool
	// PodTLS is system-internal-tls: the TLS for requests to the pods of a namespace, at port 8112 of a pod and 443 of a
	// cluster IP, while probes stay in the clear. It is called for each request, concurrently, and must not block. It returns
	// the same pointer until something changes, since requests with the same pointer share connections. Where it returns nil
	// requests fail (reason tls). Nil: cleartext.
	PodTLS func(namespace string) *tls.Config
	// Identify says which pod a service account token belongs to; ErrUnproven if to none. With it a pod that has just started
	// may announce itself before Kubernetes lists it. It may block until ctx ends, and is called concurrently. Nil:
	// announcements are rejected.
	Identify func(ctx context.Context, token string) (PodIdentity, error)
	// PeerPort is the port of the activators whose IPs UpdatePeers lists. Default: 8012.
	PeerPort int
	// WrapPolicy wraps the activator's policy in one of the program's own: a request log, traces. Nil: none. It is called
	// once, by New.
	WrapPolicy func(proxy.Policy) proxy.Policy

	// MaxIdleConns and MaxIdleConnsPerHost bound the idle connections to pods. Defaults: 1000 and 100, as in Knative.
	MaxIdleConns, MaxIdleConnsPerHost int
	// DialTimeout bounds a dial for a request, after which the pod is ejected for a while and the request goes to another.
	// Default: 2 s, time for one SYN to be lost (RFC 6298 §2.1).
	DialTimeout time.Duration
	// Dial opens connections to pods, for requests and for probes. Nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// MaxWaiting bounds the requests that wait, over all revisions, MaxWaitingBytes the memory of their heads, and
	// RevisionMaxWaiting the requests of a revision without a MaxWaiting of its own. Defaults: 20 000, 256 MiB and 10 000. Of
	// the first two a revision or a client's address may have no more than is free (throttler.Config).
	MaxWaiting         int
	MaxWaitingBytes    int64
	RevisionMaxWaiting int
	// Proxies are addresses that send the requests of many clients, such as an ingress: they have no part of their own.
	Proxies []netip.Prefix

	// CookieKey signs the cookies of sluice.dev/affinity. Activators that share it know each other's; so does one that has been
	// restarted. Nil: a random one, with which clients get new cookies then.
	CookieKey []byte

	// Reporter gets the statistics of every ReportPeriod (default 1 s), and at once the first request of an idle
	// revision. Nil: there are no reports.
	Reporter     Reporter
	ReportPeriod time.Duration
	// Registerer gets the activator's Prometheus collectors. Nil: there are none.
	Registerer prometheus.Registerer
	// ClassicMetrics gives the collectors the names in use up to Knative 1.18.
	ClassicMetrics bool
	// OnHold is called for each request that begins to wait while its revision has no pod to use. The Reporter gets only the
	// first request of an idle revision at once, so not one that comes just after the last pod has gone. It must not block.
	OnHold func(throttler.RevisionID)
	// OnColdStart is called for each request that waited while its revision had no pod to use, when its response begins. It
	// must not block.
	OnColdStart func(ColdStart)
}

// Validate reports, joined, every field that can't be used.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"ProbeTimeout", int64(c.ProbeTimeout)},
		{"ProbeFrequency", int64(c.ProbeFrequency)},
		{"MaxProbeDials", int64(c.MaxProbeDials)},
		{"PeerPort", int64(c.PeerPort)},
		{"MaxIdleConns", int64(c.MaxIdleConns)},
		{"MaxIdleConnsPerHost", int64(c.MaxIdleConnsPerHost)},
		{"DialTimeout", int64(c.DialTimeout)},
		{"MaxWaiting", int64(c.MaxWaiting)},
		{"MaxWaitingBytes", c.MaxWaitingBytes},
		{"RevisionMaxWaiting", int64(c.RevisionMaxWaiting)},
		{"ReportPeriod", int64(c.ReportPeriod)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("activator: Config.%s is negative", f.name))
		}
	}
	if c.MeshMode > MeshDisabled {
		errs = append(errs, fmt.Errorf("activator: Config.MeshMode is %d, which is none", c.MeshMode))
	}
	return errors.Join(errs...)
}

// withDefaults fills in the zero fields.
func (c Config) withDefaults() Config {
	c.PodName = cmp.Or(c.PodName, "activator")
	c.ClusterDomain = cmp.Or(c.ClusterDomain, "cluster.local")
	c.ProbeTimeout = cmp.Or(c.ProbeTimeout, 300*time.Millisecond)
	c.ProbeFrequency = cmp.Or(c.ProbeFrequency, 200*time.Millisecond)
	c.MaxProbeDials = cmp.Or(c.MaxProbeDials, 512)
	c.PeerPort = cmp.Or(c.PeerPort, knative.PortHTTP1)
	c.MaxIdleConns = cmp.Or(c.MaxIdleConns, 1000)
	c.MaxIdleConnsPerHost = cmp.Or(c.MaxIdleConnsPerHost, 100)
	c.DialTimeout = cmp.Or(c.DialTimeout, 2*time.Second)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, 20_000)
	c.MaxWaitingBytes = cmp.Or(c.MaxWaitingBytes, 256<<20)
	c.RevisionMaxWaiting = cmp.Or(c.RevisionMaxWaiting, 10_000)
	c.ReportPeriod = cmp.Or(c.ReportPeriod, time.Second)
	if c.Passthrough && c.MeshMode == MeshEnabled {
		c.MeshMode = MeshAuto
	}
	return c
}
