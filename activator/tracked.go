package activator

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/throttler"
)

// tracked is what the activator knows of a revision. The mutex is held while the throttler is told, so that it hears
// of changes in their order.
type tracked struct {
	a      *Activator
	id     throttler.RevisionID
	spec   atomic.Pointer[spec] // nil: not known (yet); written under mu
	usable atomic.Int32         // pods that may get requests; written under mu

	mu        sync.Mutex
	forgotten bool // no longer in the table
	pods      map[string]*pod
	round     uint64 // counts updates of the endpoints
	peers     []string
	clusterIP string // for meshes; nothing uses it yet

	passing passes
}

// spec is a Revision together with its collectors.
type spec struct {
	Revision
	meters *metrics.RevisionCollectors // nil: none
}

func (t *tracked) emptyLocked() bool {
	return t.spec.Load() == nil && len(t.pods) == 0 && len(t.peers) == 0 && t.clusterIP == ""
}

func (t *tracked) setSpecLocked(r Revision) {
	r.Limit = max(r.Limit, 0)
	old := t.spec.Load()
	if old != nil && old.Revision == r {
		return
	}
	if old != nil && (old.Service != r.Service || old.Configuration != r.Configuration) {
		t.a.meters.forget(old.Revision)
	}
	t.spec.Store(&spec{Revision: r, meters: t.a.meters.of(r)})
	t.a.throttler.SetRevision(t.id, throttler.RevisionConfig{
		MaxWaiting: cmp.Or(r.MaxWaiting, t.a.config.RevisionMaxWaiting),
	})
	if old == nil {
		for _, p := range t.pods {
			t.probeLocked(p)
		}
	}
	t.tellAllLocked()
}

func (t *tracked) dropSpecLocked() {
	s := t.spec.Load()
	if s == nil {
		return
	}
	t.spec.Store(nil)
	t.a.throttler.DeleteRevision(t.id)
	t.a.meters.forget(s.Revision)
	for _, p := range t.pods {
		p.restart()
		p.countLocked(t, false)
		p.told = false
	}
}

func (t *tracked) setPeersLocked(peers []string) {
	if slices.Equal(t.peers, peers) {
		return
	}
	t.peers = slices.Clone(peers)
	t.tellAllLocked()
}

func (t *tracked) setEndpointsLocked(e Endpoints) {
	t.clusterIP = e.ClusterIP
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
		if p.seen != t.round {
			p.restart()
			p.countLocked(t, false)
			delete(t.pods, id)
			gone = append(gone, id)
		}
	}
	if len(changed)+len(gone) > 0 {
		t.tellChangedLocked(changed, gone)
	}
}

// setPodLocked returns the pod if ep says something new of it.
func (t *tracked) setPodLocked(ep Endpoint, ready bool) *pod {
	ep.ID = cmp.Or(ep.ID, ep.Addr)
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
	}
	p.Endpoint, p.ready, p.seen = ep, ready, t.round
	t.probeLocked(p)
	return p
}
