package activator

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-proxy/sluice/throttler"
)

// pod is an endpoint and what has been found out about it. It is guarded by the mutex of its tracked.
type pod struct {
	Endpoint
	ready  bool   // says Kubernetes
	passed bool   // says its probe
	lend   bool   // its queue-proxy refuses rather than queues when asked to
	probe  *probe // in progress, or nil
	seen   uint64 // the last round of its tracked that listed it

	foreign bool // in the share of another activator
	counted bool // in tracked.usable
	told    bool // the throttler knows it, as backend
	backend throttler.Backend
}

// restart forgets what probes have said.
func (p *pod) restart() {
	p.passed = false
	if p.probe != nil {
		p.probe.stop()
		p.probe = nil
	}
}

func (p *pod) usable(s *spec) bool { return p.passed && (p.ready || !s.NoEarlyUse) }

// probeLocked sees to it that p is being probed if it has to be.
func (t *tracked) probeLocked(p *pod) {
	if p.passed || p.probe != nil || t.spec.Load() == nil {
		return
	}
	pr := &probe{addr: p.Addr}
	pr.passed = func(lend bool) { t.pass(pass{p, pr, lend}) }
	p.probe = pr
	t.a.prober.start(pr)
}

// suspect has a pod probed again before further use, since it or its app could not be reached: the probe passes when
// they can. Requests in flight stay counted.
func (t *tracked) suspect(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, s := t.pods[id], t.spec.Load()
	if p == nil || s == nil || !p.passed {
		return
	}
	p.restart()
	t.probeLocked(p)
	if t.sharedLocked(s) {
		t.tellAllLocked()
		return
	}
	t.tellLocked(s, []*pod{p}, nil)
}

// pass is a probe that succeeded.
type pass struct {
	pod   *pod
	probe *probe
	lend  bool
}

// passes collects what has passed while tracked.mu was held by others, so that a thousand pods that pass together cost
// a few updates, not a thousand.
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

// pass puts a pod to use. It is called by the goroutine of its probe.
func (t *tracked) pass(ps pass) {
	t.passing.add(ps)
	t.mu.Lock()
	defer t.mu.Unlock()
	var changed []*pod
	for _, ps := range t.passing.take() {
		if ps.pod.probe != ps.probe { // stopped meanwhile
			continue
		}
		ps.pod.probe, ps.pod.passed, ps.pod.lend = nil, true, ps.lend
		changed = append(changed, ps.pod)
	}
	if len(changed) > 0 {
		t.tellChangedLocked(changed, nil)
	}
}

// tellChangedLocked brings the throttler up to date after a change of some pods, which may change the shares of all.
func (t *tracked) tellChangedLocked(changed []*pod, gone []string) {
	switch s := t.spec.Load(); {
	case s == nil:
	case t.sharedLocked(s):
		t.tellAllLocked(gone...)
	default:
		slices.SortFunc(changed, byID)
		t.tellLocked(s, changed, gone)
	}
}

func byID(p, q *pod) int { return strings.Compare(p.ID, q.ID) }

// sharedLocked says that this activator has only a share of the pods.
func (t *tracked) sharedLocked(s *spec) bool {
	return s.Limit > 0 && len(t.peers) > 1 && t.a.config.PodIP != ""
}

// tellAllLocked brings the throttler up to date with every pod.
func (t *tracked) tellAllLocked(gone ...string) {
	s := t.spec.Load()
	if s == nil {
		return
	}
	all := slices.SortedFunc(maps.Values(t.pods), byID)
	t.shareLocked(s, all)
	t.tellLocked(s, all, gone)
}

// shareLocked finds out which of the pods that can be used are this activator's own. Those that can't be are not shared
// out: a share of them would be no share.
func (t *tracked) shareLocked(s *spec, all []*pod) {
	var (
		pods []*pod
		ids  []string
	)
	for _, p := range all {
		p.foreign = false
		if p.usable(s) {
			pods, ids = append(pods, p), append(ids, p.ID)
		}
	}
	if !t.sharedLocked(s) {
		return
	}
	for i, own := range throttler.Share(ids, t.peers, t.a.config.PodIP) {
		pods[i].foreign = !own
	}
}

// tellLocked brings the throttler up to date with some pods. One that may not be used is still told when it was
// before, as draining, so that its requests in flight stay counted.
func (t *tracked) tellLocked(s *spec, pods []*pod, gone []string) {
	var changed []throttler.Backend
	for _, p := range pods {
		b := p.describe(s)
		usable := b.State == throttler.Ready
		if p.told && b == p.backend || !p.told && !usable {
			continue
		}
		p.backend, p.told = b, true
		p.countLocked(t, usable)
		changed = append(changed, b)
	}
	if len(changed)+len(gone) > 0 {
		t.a.throttler.PatchBackends(t.id, changed, gone)
	}
}

// describe is p as the throttler should know it.
func (p *pod) describe(s *spec) throttler.Backend {
	b := throttler.Backend{
		ID: p.ID, Addr: p.Addr, Zone: p.Zone, Slots: s.Limit, Own: !p.foreign, Lend: p.lend, State: throttler.Ready,
	}
	if !p.usable(s) {
		b.State = throttler.Draining
	}
	return b
}

// countLocked keeps the number of usable pods.
func (p *pod) countLocked(t *tracked, usable bool) {
	if p.counted == usable {
		return
	}
	p.counted = usable
	if usable {
		t.usable.Add(1)
	} else {
		t.usable.Add(-1)
	}
}
