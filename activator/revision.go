package activator

import (
	"cmp"
	"context"

	"github.com/sluice-proxy/sluice/metrics/statpb"
	"github.com/sluice-proxy/sluice/proxy"
	"github.com/sluice-proxy/sluice/throttler"
)

// Revision describes a revision to the activator.
type Revision struct {
	ID throttler.RevisionID
	// Limit is containerConcurrency: requests in flight in one pod at most. 0: no limit.
	Limit int
	// Timeouts bound each request, its wait for a pod included; 0 is off.
	Timeouts proxy.Timeouts
	// Proto is the protocol spoken to pods. The zero value is the client's, as in Knative, where the port serves both.
	// An upgrade always goes out as HTTP/1.1.
	Proto proxy.Proto
	// Service and Configuration are labels of metrics.
	Service, Configuration string
	// MaxWaiting bounds the requests that wait for a pod of this revision. 0: Config.RevisionMaxWaiting.
	MaxWaiting int
	// Affinity and AffinityOrder are the annotations sluice.dev/affinity and sluice.dev/affinity-order, by which requests go to the
	// same pod: see docs/operations.md. Values that can't be used are logged, and stand for none. Bypassed says that requests may
	// also reach the pods without the activator, which then can't see to it: that is logged, and on the metric
	// sluice_affinity_bypassed.
	Affinity, AffinityOrder string
	Bypassed                bool
	// NoEarlyUse keeps a pod out of use until Kubernetes calls it Ready, since its readiness probe (exec) or a startup probe
	// checks what the queue-proxy can't.
	NoEarlyUse bool
	// Probe says which probe an address has to pass before it gets requests. The zero value expects a queue-proxy; ProbeTCP
	// is for backends without one.
	Probe ProbeKind
}

// ProbeKind is how the activator finds out that an address can take requests.
type ProbeKind uint8

const (
	// ProbeQueueProxy is a request to the queue-proxy, which answers it when its app is ready.
	ProbeQueueProxy ProbeKind = iota
	// ProbeTCP passes when a connection is accepted, by any server.
	ProbeTCP
)

// Endpoint is a pod of a revision.
type Endpoint struct {
	// ID is the pod's UID. Addresses are reused by other pods, UIDs are not. Empty: Addr.
	ID string
	// Addr is the host:port of the pod's queue-proxy.
	Addr string
	// Name is the pod's name, for the log; it may be empty.
	Name string
}

// called is what people call the pod, as far as is known.
func (e Endpoint) called() string { return cmp.Or(e.Name, e.ID) }

// Endpoints are all pods of a revision, but those that are terminating. A pod listed as both is ready.
type Endpoints struct {
	Ready, NotReady []Endpoint
	// ClusterIP is the host:port of the revision's private Service, at its cleartext port (80); it may be empty. It is used
	// with a service mesh that doesn't let pods be addressed.
	ClusterIP string
	// Service is the name of the private Service, which Config.Passthrough makes the Host of requests; it may be empty.
	Service string
}

// Sink takes updates of revisions and their pods, in any order: what comes before its revision is kept until that comes.
// Each call replaces the earlier one. Implementations don't block, may be called concurrently, and don't keep the slices.
type Sink interface {
	UpdateRevision(Revision)
	// DeleteRevision fails the requests that wait for the revision.
	DeleteRevision(throttler.RevisionID)
	UpdateEndpoints(throttler.RevisionID, Endpoints)
	// UpdatePeers lists the activators in the revision's path by IP, this one included. An activator that isn't listed
	// uses all pods.
	UpdatePeers(throttler.RevisionID, []string)
}

// Source knows revisions and their pods.
type Source interface {
	// Run calls s with what there is and then with each change, until ctx is cancelled, and returns nil. If it returns
	// earlier, that is a failure, and ends [Activator.Run] with its error.
	Run(ctx context.Context, s Sink) error
}

// SyncedSource is a Source that knows when it has delivered everything that there is. Until then the activator answers the
// kubelet's probes that it isn't ready. Any other Source counts as synced once it runs.
type SyncedSource interface {
	Source
	Synced() <-chan struct{} // closed when it has
}

// Reporter sends statistics to the autoscaler. Send must not block. *metrics.StatSender is one.
type Reporter interface {
	Send(*statpb.WireStatMessages)
}
