package activator

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/metrics"
	"github.com/sluice-proxy/sluice/throttler"
	"go.uber.org/zap"
)

// tracked is a revision: what requests need of it, without a lock, and its pods. A change of the pods is followed by one
// reconcile under the same lock, so that the throttler learns of changes in their order.
type tracked struct {
	a        *Activator
	id       throttler.RevisionID
	spec     atomic.Pointer[spec]   // nil: not known (yet); written under mu
	usable   atomic.Int32           // pods.usable; written under mu
	host     atomic.Pointer[string] // Host of requests and probes, with Passthrough; nil: the address. Written under mu
	demand   demand
	shortage shortage
	passes   passes

	mu        sync.Mutex
	forgotten bool   // no longer in the table
	service   string // the private Service, with Passthrough
	pods      pods
}

// spec is a Revision together with its collectors.
type spec struct {
	Revision
	affinity   knative.Affinity
	collectors *metrics.RevisionCollectors // nil: none
}

// bypassed says that the revision asks for affinity that the activator can't always give.
func (s *spec) bypassed() bool { return s != nil && s.Bypassed && s.affinity.By != knative.NoAffinity }

func newTracked(a *Activator, id throttler.RevisionID) *tracked {
	t := &tracked{a: a, id: id, pods: newPods(&a.config)}
	t.shortage.of = t
	return t
}

func (t *tracked) emptyLocked() bool {
	return t.spec.Load() == nil && t.service == "" && t.pods.empty()
}

func (t *tracked) setRevisionLocked(r Revision) {
	r.Limit = max(r.Limit, 0)
	old := t.spec.Load()
	if old != nil && old.Revision == r {
		return
	}
	if old != nil && (old.Service != r.Service || old.Configuration != r.Configuration) {
		t.a.collectors.forget(old.Revision)
	}
	if old != nil && old.Probe != r.Probe {
		t.pods.forget()
	}
	affinity, err := knative.ParseAffinity(r.Affinity, r.AffinityOrder)
	if err != nil {
		t.a.log.Warn("the affinity of a revision can't be used", zap.Stringer("revision", t.id), zap.Error(err))
	}
	t.spec.Store(&spec{Revision: r, affinity: affinity, collectors: t.a.collectors.of(r)})
	t.a.throttler.SetRevision(t.id, throttler.RevisionConfig{
		MaxWaiting: cmp.Or(r.MaxWaiting, t.a.config.RevisionMaxWaiting),
	})
	t.pods.all = true
	if now := t.spec.Load(); now.bypassed() && !old.bypassed() {
		t.a.log.Warn("a revision asks for affinity, but its requests reach pods without the activator unless target-burst-capacity is -1",
			zap.Stringer("revision", t.id))
	}
}

func (t *tracked) deleteRevisionLocked() {
	s := t.spec.Load()
	if s == nil {
		return
	}
	t.spec.Store(nil)
	t.a.throttler.DeleteRevision(t.id)
	t.a.collectors.forget(s.Revision)
	t.pods.withdrawAll()
}

func (t *tracked) setEndpointsLocked(e Endpoints) {
	t.setHostLocked(e.Service)
	t.pods.setEndpoints(e)
}

// setHostLocked keeps the Host that a mesh passes through to a pod.
func (t *tracked) setHostLocked(service string) {
	if !t.a.config.Passthrough || service == t.service {
		return
	}
	t.service = service
	t.host.Store(nil)
	if service != "" {
		host := service + "." + t.id.Namespace
		t.host.Store(&host)
	}
	t.pods.all = true
}

// found takes over the result of a probe of p, and returns the pace of the next. It is called by the goroutine of the probe.
func (t *tracked) found(p *pod, pr *probe, f probeResult) pace {
	if f.status == passed {
		t.passes.add(pass{p, pr, f.declines})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if f.status == passed {
		for _, ps := range t.passes.take() {
			if ps.pod.probe == ps.probe { // not stopped meanwhile
				t.pods.probePassed(ps.pod, ps.declines, now)
			}
		}
	} else if p.probe == pr {
		t.pods.probeFailed(p, f, now)
	}
	t.reconcileLocked()
	switch {
	case p.probe != pr: // stopped, or there is nothing more to find out
		return done
	case p.passed && p.fails == 0:
		return watch
	case t.pods.meshed && p != &t.pods.cluster:
		return examine
	}
	return search
}

// suspect has a pod that a request could not reach probed before further use.
func (t *tracked) suspect(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spec.Load() != nil {
		t.pods.suspect(id)
		t.reconcileLocked()
	}
}

// reconcileLocked brings probes and the throttler in line with the pods.
func (t *tracked) reconcileLocked() {
	defer t.pods.unmark()
	s := t.spec.Load()
	if s == nil { // nothing is probed or published; everything is when the revision comes
		t.usable.Store(0)
		return
	}
	changed, upsert, gone := t.pods.reconcile(s)
	for _, p := range changed {
		t.probeLocked(p, s)
	}
	t.probeLocked(&t.pods.cluster, s)
	t.usable.Store(int32(t.pods.usable))
	if len(upsert)+len(gone) > 0 {
		t.a.throttler.PatchBackends(t.id, upsert, gone)
	}
}

// probeLocked has p probed as it should be now, or not at all.
func (t *tracked) probeLocked(p *pod, s *spec) {
	var host string
	if h := t.host.Load(); h != nil {
		host = *h
	}
	wanted := t.pods.probes(p, s)
	if pr := p.probe; pr != nil && !(wanted && pr.addr == p.Addr && pr.host == host && pr.kind == s.Probe) {
		p.stopProbe()
	}
	if p.probe != nil || !wanted {
		return
	}
	pr := &probe{addr: p.Addr, revision: t.id, host: host, demand: &t.demand, kind: s.Probe}
	pr.found = func(f probeResult) pace { return t.found(p, pr, f) }
	p.probe = pr
	t.a.prober.start(pr)
}

func (t *tracked) peers() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pods.peers
}

// trouble is why requests of the revision don't get a pod.
func (t *tracked) trouble() trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.spec.Load(); s != nil {
		return t.pods.trouble(s)
	}
	return trouble{}
}

func (t *tracked) snapshot() (RevisionSnapshot, bool) {
	s := t.spec.Load()
	ts, ok := t.a.throttler.Stats(t.id)
	if s == nil || !ok {
		return RevisionSnapshot{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return RevisionSnapshot{
		ID: t.id, Limit: s.Limit, Waiting: ts.Waiting, InFlight: ts.InFlight,
		Pods: len(t.pods.byID), Usable: t.pods.usable,
	}, true
}

// pass is a probe that succeeded.
type pass struct {
	pod      *pod
	probe    *probe
	declines bool
}

// passes collects what has passed while tracked.mu was held, so that a thousand pods that pass together cost a few updates,
// not a thousand.
type passes struct {
	mu  sync.Mutex
	all []pass
}

func (q *passes) add(p pass) {
	q.mu.Lock()
	q.all = append(q.all, p)
	q.mu.Unlock()
}

func (q *passes) take() []pass {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.all
	q.all = nil
	return all
}
