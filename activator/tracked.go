package activator

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/internal/logpace"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/throttler"
)

// tracked is what the activator knows of a revision. The mutex is held while the throttler is told, so that it hears
// of changes in their order.
type tracked struct {
	a      *Activator
	id     throttler.RevisionID
	spec   atomic.Pointer[spec]   // nil: not known (yet); written under mu
	usable atomic.Int32           // pods that may get requests, or the cluster IP; written under mu
	host   atomic.Pointer[string] // Host of requests and probes, with Passthrough; nil: the address. Written under mu
	demand demand

	shortage shortage
	pace     logpace.Pace // of the lines that say why it can't serve

	mu        sync.Mutex
	forgotten bool // no longer in the table
	pods      map[string]*pod
	early     map[string]*pod // those of pods that have announced themselves and aren't listed, by address
	nReady    int             // pods that Kubernetes calls Ready
	round     uint64          // counts updates of the endpoints
	peers     []string
	order     []*pod // that can be used, by address, when there are shares
	service   string // the private Service, with Passthrough

	cluster  pod  // the cluster IP, as a pod with the ID clusterID
	fallback bool // the cluster IP is to be probed and used
	meshed   bool // pods are not used, since the cluster IP is
	proving  bool // while meshed, a pod has passed
	proven   bool // one has for long enough: routeLocked is to turn

	worst *pod // whose probe was the last to fail; it may be gone

	passing passes
}

// spec is a Revision together with its collectors.
type spec struct {
	Revision
	collectors *metrics.RevisionCollectors // nil: none
}

func (t *tracked) emptyLocked() bool {
	return t.spec.Load() == nil && len(t.pods) == 0 && len(t.peers) == 0 && t.cluster.Addr == "" && t.service == ""
}

func (t *tracked) setSpecLocked(r Revision) {
	r.Limit = max(r.Limit, 0)
	old := t.spec.Load()
	if old != nil && old.Revision == r {
		return
	}
	if old != nil && (old.Service != r.Service || old.Configuration != r.Configuration) {
		t.a.collectors.forget(old.Revision)
	}
	t.spec.Store(&spec{Revision: r, collectors: t.a.collectors.of(r)})
	t.a.throttler.SetRevision(t.id, throttler.RevisionConfig{
		MaxWaiting: cmp.Or(r.MaxWaiting, t.a.config.RevisionMaxWaiting),
	})
	for _, p := range t.pods {
		if old == nil {
			p.trusted = t.trustsLocked(p)
		} else if old.Probe != r.Probe {
			p.restart()
		}
		t.probeLocked(p)
	}
	t.reconcileAllLocked()
}

func (t *tracked) dropSpecLocked() {
	s := t.spec.Load()
	if s == nil {
		return
	}
	t.spec.Store(nil)
	t.a.throttler.DeleteRevision(t.id)
	t.a.collectors.forget(s.Revision)
	t.fallback, t.meshed, t.proving, t.proven = false, false, false, false
	t.dropPodLocked(&t.cluster)
	for _, p := range t.pods {
		t.dropPodLocked(p)
	}
}

// dropPodLocked forgets everything of p but that it is there.
func (t *tracked) dropPodLocked(p *pod) {
	p.restart()
	p.countLocked(t, false)
	p.published = false
}

func (t *tracked) setPeersLocked(peers []string) {
	if slices.Equal(t.peers, peers) {
		return
	}
	t.peers = slices.Clone(peers)
	t.reconcileAllLocked()
}

func (t *tracked) peerList() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers // replaced, never changed
}

func (t *tracked) setEndpointsLocked(e Endpoints) {
	t.setHostLocked(e.Service)
	if t.cluster.Addr != e.ClusterIP {
		t.cluster.restart()
		t.cluster.Addr = e.ClusterIP
	}
	t.round++
	var changed []*pod
	for i, list := range [...][]Endpoint{e.Ready, e.NotReady} {
		for _, ep := range list {
			if p := t.setPodLocked(ep, i == 0); p != nil {
				changed = append(changed, p)
			}
		}
	}
	var gone []string
	for id, p := range t.pods {
		if p.seen != t.round && !p.announced {
			t.readyLocked(p, false)
			t.dropPodLocked(p)
			delete(t.pods, id)
			gone = append(gone, id)
		}
	}
	t.reconcileLocked(changed, gone)
}

// setPodLocked returns the pod if ep says something new of it.
func (t *tracked) setPodLocked(ep Endpoint, ready bool) *pod {
	ep.ID = cmp.Or(ep.ID, ep.Addr)
	if p := t.early[ep.Addr]; p != nil {
		t.listLocked(p) // under another ID it is none of those that are listed
	}
	p := t.pods[ep.ID]
	switch {
	case ep.Addr == "", p != nil && p.seen == t.round:
		return nil
	case p == nil:
		p = &pod{}
		t.pods[ep.ID] = p
	case p.Endpoint == ep && p.ready == ready:
		p.seen = t.round
		return nil
	case p.ready && !ready, p.Addr != ep.Addr:
		// It may have restarted, or its app may have failed: what its last probe said is worth nothing now.
		p.restart()
		t.readyLocked(p, false)
	}
	t.listLocked(p)
	p.Endpoint, p.seen = ep, t.round
	t.readyLocked(p, ready)
	t.probeLocked(p)
	return p
}

// readyLocked is what Kubernetes says of p.
func (t *tracked) readyLocked(p *pod, ready bool) {
	if p.ready == ready {
		return
	}
	p.ready = ready
	p.trusted = t.trustsLocked(p)
	if !ready {
		t.nReady--
		return
	}
	t.nReady++
	if p.status == maybeMesh || p.status == noMesh { // else it has passed, or is being asked right now
		p.status = unasked
		p.rest()
	}
}

// trustsLocked says that the word of Kubernetes is enough to use p.
func (t *tracked) trustsLocked(p *pod) bool { return p.ready && t.a.config.MeshMode == MeshDisabled }
