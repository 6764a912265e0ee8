package activator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/throttler"
)

// pods is the state of a revision's pods. Its inputs (endpoints, announcements, peers, results of probes) change fields and
// mark the pods that they concern; reconcile computes from the fields which pods are probed and what the throttler should
// have, at a cost of what was marked. It never blocks, and is guarded by the mutex of its tracked.
type pods struct {
	config *Config

	byID       map[string]*pod
	announced  map[string]*pod // those that have announced themselves and aren't listed, by address
	round      uint64          // counts updates of the endpoints
	peers      []string        // the activators in the path; replaced, never changed
	lastFailed *pod            // whose probe was the last to fail; it may be gone

	cluster  pod  // the cluster IP, as a pod with the ID clusterID
	fallback bool // the cluster IP is to be probed and used
	meshed   bool // pods are not used, since the cluster IP is
	proving  bool // while meshed, a pod has passed
	proven   bool // while meshed, one has for long enough

	ready  int    // pods that Kubernetes calls Ready
	direct int    // pods that can be addressed without the cluster IP, as far as is known: see isDirect
	usable int    // pods that may get requests, or the cluster IP
	order  []*pod // those that are shared out among activators, by address

	changed []*pod   // since the last reconcile
	all     bool     // every pod counts as changed
	reshare bool     // the shares have to be computed anew
	gone    []string // IDs of backends to be removed from the throttler
}

func newPods(c *Config) pods {
	return pods{config: c, byID: map[string]*pod{}, cluster: pod{Endpoint: Endpoint{ID: clusterID}}}
}

func (s *pods) empty() bool { return len(s.byID) == 0 && len(s.peers) == 0 && s.cluster.Addr == "" }

func (s *pods) setPeers(peers []string) {
	if !slices.Equal(s.peers, peers) {
		s.peers, s.all = slices.Clone(peers), true
	}
}

// setEndpoints takes over what Kubernetes lists.
func (s *pods) setEndpoints(e Endpoints) {
	if s.cluster.Addr != e.ClusterIP {
		s.cluster.forget()
		s.cluster.Addr = e.ClusterIP
	}
	s.round++
	for i, list := range [...][]Endpoint{e.Ready, e.NotReady} {
		for _, ep := range list {
			s.setEndpoint(ep, i == 0)
		}
	}
	for _, p := range s.byID {
		if p.seen != s.round && !p.announced {
			s.remove(p)
		}
	}
}

func (s *pods) setEndpoint(ep Endpoint, ready bool) {
	ep.ID = cmp.Or(ep.ID, ep.Addr)
	if p := s.announced[ep.Addr]; p != nil {
		s.confirm(p) // if it is listed under another ID, it is removed as one that isn't listed
	}
	p := s.byID[ep.ID]
	switch {
	case ep.Addr == "", p != nil && p.seen == s.round:
		return
	case p == nil:
		p = &pod{}
		s.byID[ep.ID] = p
	case p.Endpoint == ep && p.ready == ready:
		p.seen = s.round
		return
	case p.ready && !ready, p.Addr != ep.Addr:
		// It may have restarted, or its app may have failed: the results of earlier probes are worth nothing now.
		p.forget()
		s.setReady(p, false)
		s.reshare = true
	}
	s.confirm(p)
	p.Endpoint, p.seen = ep, s.round
	s.setReady(p, ready)
	s.change(p)
}

// setReady takes over whether Kubernetes calls p Ready. One that becomes so is probed anew, unless it has passed or its
// first probe is in progress.
func (s *pods) setReady(p *pod, ready bool) {
	if p.ready == ready {
		return
	}
	count(&s.ready, &p.ready, ready)
	p.suspected = false
	if ready && (p.status == maybeMesh || p.status == noMesh) {
		p.status = unasked
		p.stopProbe()
	}
}

// announce adds a pod that Kubernetes doesn't list yet. It returns nil when the pod is known.
func (s *pods) announce(ep Endpoint) *pod {
	if s.byID[ep.ID] != nil || s.byID[ep.Addr] != nil { // by its address where no UID is known
		return nil
	}
	if old := s.announced[ep.Addr]; old != nil {
		s.remove(old) // it has ended: its address is another's
	}
	p := &pod{Endpoint: ep, announced: true}
	if s.announced == nil {
		s.announced = map[string]*pod{}
	}
	s.byID[ep.ID], s.announced[ep.Addr] = p, p
	s.change(p)
	return p
}

// expire removes a pod that was announced and has not been listed since.
func (s *pods) expire(p *pod) {
	if p.announced && s.byID[p.ID] == p {
		s.remove(p)
	}
}

// confirm ends the time in which p is kept without being listed.
func (s *pods) confirm(p *pod) {
	if p.announced {
		p.announced = false
		delete(s.announced, p.Addr)
	}
}

func (s *pods) remove(p *pod) {
	s.confirm(p)
	if p.published {
		s.gone = append(s.gone, p.ID)
	}
	s.withdraw(p)
	s.setReady(p, false)
	count(&s.direct, &p.direct, false)
	s.reshare = s.reshare || p.ordered
	delete(s.byID, p.ID)
}

// withdraw forgets everything of p but that it is listed.
func (s *pods) withdraw(p *pod) {
	p.forget()
	p.published = false
	count(&s.usable, &p.used, false)
}

// withdrawAll is the end of the revision.
func (s *pods) withdrawAll() {
	s.fallback, s.meshed, s.proving, s.proven = false, false, false, false
	s.withdraw(&s.cluster)
	for _, p := range s.byID {
		s.withdraw(p)
	}
}

// forget has every pod probed anew.
func (s *pods) forget() {
	s.all = true
	for _, p := range s.byID {
		p.forget()
	}
}

// probePassed takes over a probe that succeeded. Requests leave the cluster IP when a pod has passed for provingTime.
func (s *pods) probePassed(p *pod, declines bool, now time.Time) {
	if !p.passed {
		p.since = now
	}
	p.passed, p.status, p.fails, p.declines = true, passed, 0, declines
	s.change(p)
	switch {
	case !s.meshed, p == &s.cluster:
	case now.Sub(p.since) >= provingTime:
		s.proven = true
	case !s.proving: // what this one can, others may be able to
		s.proving = true
		s.probeAnew()
	}
}

// probeFailed takes over a probe that failed.
func (s *pods) probeFailed(p *pod, f probeResult, now time.Time) {
	p.fails++
	p.blame(f, now)
	s.lastFailed = p
	switch {
	case p.passed && p.fails < failures && !s.meshed:
		return
	case p.passed:
		p.passed, s.proving = false, false
	}
	p.status = f.status
	s.change(p)
}

// suspect has a pod probed before further use, since it or its app could not be reached: the probe passes when they can.
// Requests in flight stay counted.
func (s *pods) suspect(id string) {
	p := s.byID[id]
	if id == clusterID {
		p = &s.cluster
	}
	if p == nil || !p.passed && !s.trusted(p) {
		return
	}
	p.forget()
	p.suspected = true
	s.change(p)
}

// probeAnew ends the probes of those that haven't passed, which may be in a long pause.
func (s *pods) probeAnew() {
	for _, p := range s.byID {
		if !p.passed {
			p.stopProbe()
			s.change(p)
		}
	}
}

// change marks p for the next reconcile, which looks at the cluster IP anyway.
func (s *pods) change(p *pod) {
	if !p.changed && p != &s.cluster {
		p.changed = true
		s.changed = append(s.changed, p)
	}
}

// marked are the pods that the next reconcile looks at.
func (s *pods) marked() []*pod {
	if s.all {
		s.changed = slices.AppendSeq(s.changed[:0], maps.Values(s.byID))
	}
	return s.changed
}

// reconcile computes what follows from the changes since the last call: the pods whose probes may have to begin or end, and
// what the throttler has to learn. It needs one unmark, until which what it returns is valid.
func (s *pods) reconcile(sp *spec) (changed []*pod, upsert []throttler.Backend, gone []string) {
	for _, p := range s.marked() {
		count(&s.direct, &p.direct, p.isDirect())
	}
	s.route()
	s.share(sp)
	changed = s.marked()
	for _, p := range changed {
		if b, ok := s.diff(p, sp); ok {
			upsert = append(upsert, b)
		}
	}
	slices.SortFunc(upsert, func(a, b throttler.Backend) int { return strings.Compare(a.ID, b.ID) }) // they are picked in this order
	if b, ok := s.diff(&s.cluster, sp); ok {
		upsert = append(upsert, b)
	}
	return changed, upsert, s.gone
}

// unmark ends a reconcile.
func (s *pods) unmark() {
	for _, p := range s.changed {
		p.changed = false
	}
	clear(s.changed) // which would keep pods that are gone
	s.changed, s.gone, s.all, s.reshare = s.changed[:0], nil, false, false
}

// route decides between pods and the cluster IP.
func (s *pods) route() {
	was := s.meshed
	s.fallback = s.needsCluster()
	s.meshed = s.fallback && (was || s.cluster.passed)
	if !s.fallback {
		s.cluster.forget()
		if s.cluster.published {
			s.gone = append(s.gone, clusterID)
			s.withdraw(&s.cluster)
		}
	}
	if s.meshed == was {
		return
	}
	s.proving, s.proven, s.all = false, false, true
	if !s.meshed {
		s.probeAnew()
	}
}

// needsCluster reports whether requests should use the cluster IP, as far as is known. Without a pod that Kubernetes calls
// Ready there is nothing behind it.
func (s *pods) needsCluster() bool {
	mode := s.config.MeshMode
	switch {
	case s.cluster.Addr == "", s.ready == 0, mode == MeshDisabled, s.config.Passthrough:
		return false
	case mode == MeshEnabled, s.meshed && !s.proven:
		return true
	}
	return s.direct == 0
}

// trusted reports whether p is used because Kubernetes calls it Ready, without a probe.
func (s *pods) trusted(p *pod) bool {
	return p.ready && s.config.MeshMode == MeshDisabled && !p.suspected
}

// uses reports whether p may get requests.
func (s *pods) uses(p *pod, sp *spec) bool {
	if p == &s.cluster {
		return s.fallback && p.passed
	}
	return !s.meshed && (s.trusted(p) || p.passed && (p.ready || !sp.NoEarlyUse))
}

// probes reports whether p has to be probed: until it passes, and from then on while the cluster IP is in use, or while p is
// used although Kubernetes doesn't call it Ready. With MeshEnabled only the cluster IP is probed.
func (s *pods) probes(p *pod, sp *spec) bool {
	switch {
	case p == &s.cluster:
		return s.fallback && !p.passed
	case s.config.MeshMode == MeshEnabled:
		return false
	}
	return !p.passed || s.meshed || !p.ready && !sp.NoEarlyUse
}

// shared reports whether this activator has only a share of the pods.
func (s *pods) shared(sp *spec) bool {
	return sp.Limit > 0 && len(s.peers) > 1 && s.config.PodIP != ""
}

// share computes which of the pods in use are this activator's own, if that may have changed: then every pod may have. Those
// that aren't in use are not shared out: a share of them would be no share.
func (s *pods) share(sp *spec) {
	shared := s.shared(sp)
	counts := func(p *pod) bool { return shared && s.uses(p, sp) }
	if !s.all && !(shared && s.reshare) && !slices.ContainsFunc(s.changed, func(p *pod) bool { return p.ordered != counts(p) }) {
		return
	}
	s.all = true
	s.order = slices.DeleteFunc(s.order, func(p *pod) bool {
		p.ordered = counts(p)
		return !p.ordered
	})
	for _, p := range s.byID {
		p.remote = false
		if !p.ordered && counts(p) {
			s.order, p.ordered = append(s.order, p), true
		}
	}
	if !shared {
		return
	}
	// In order but for a few, mostly, which takes little to sort.
	slices.SortFunc(s.order, func(p, q *pod) int { return cmp.Or(strings.Compare(p.Addr, q.Addr), byID(p, q)) })
	addrs := make([]string, len(s.order))
	for i, p := range s.order {
		addrs[i] = p.Addr
	}
	for i, own := range throttler.Share(addrs, s.peers, s.config.PodIP) {
		s.order[i].remote = !own
	}
}

// diff returns p as the throttler should have it, if that has something else. A pod that may not be used any more stays, as
// draining, so that its requests in flight stay counted.
func (s *pods) diff(p *pod, sp *spec) (throttler.Backend, bool) {
	if !p.published && !s.uses(p, sp) {
		return throttler.Backend{}, false
	}
	b := s.desired(p, sp)
	if p.published && b == p.backend {
		return throttler.Backend{}, false
	}
	p.backend, p.published = b, true
	count(&s.usable, &p.used, b.State == throttler.Ready)
	return b, true
}

func (s *pods) desired(p *pod, sp *spec) throttler.Backend {
	b := throttler.Backend{
		ID: p.ID, Addr: p.Addr, Slots: sp.Limit, Own: !p.remote, Spillover: p.declines, Declines: p.declines, State: throttler.Ready,
	}
	port := knative.PortTLS
	if p == &s.cluster {
		b.Slots, b.Spillover, port = s.clusterSlots(sp), false, clusterPortTLS
	}
	if s.config.PodTLS != nil {
		b.Addr = withPort(p.Addr, port)
	}
	if !s.uses(p, sp) {
		b.State = throttler.Draining
	}
	return b
}

// clusterSlots is this activator's part of what the pods behind the cluster IP can take.
func (s *pods) clusterSlots(sp *spec) int {
	if sp.Limit == 0 {
		return 0
	}
	n := 1
	if slices.Contains(s.peers, s.config.PodIP) {
		n = len(s.peers)
	}
	return max(1, sp.Limit*s.ready/n)
}

// trouble is why requests of the revision don't get a pod: the newest failure of a probe, if that pod still can't be used.
func (s *pods) trouble(sp *spec) trouble {
	switch {
	case s.usable > 0:
		return busy(s.usable, sp.Limit)
	case len(s.byID) == 0:
		return trouble{cause: noPod, sentence: "the revision has no pod"}
	}
	p := s.lastFailed
	if p == nil || s.byID[p.ID] != p && p != &s.cluster {
		for _, p = range s.byID { // any: none has failed
			break
		}
	}
	why := p.why
	switch {
	case p.passed && p != &s.cluster:
		why = probeResult{cause: notListedReady}
	case why.cause == noCause:
		why.cause = notAsked
	}
	sentence := causeTable[why.cause].says
	if why.detail != "" {
		sentence += ": " + why.detail
	}
	switch n := len(s.byID); {
	case p == &s.cluster:
		sentence = "the cluster IP before the revision's pods " + sentence
	case n == 1:
		sentence = "the revision's only pod " + sentence
	default:
		sentence = fmt.Sprintf("none of the revision's %d pods can be used; the one asked last %s", n, sentence)
	}
	return trouble{why.cause, sentence, p.Endpoint, why.answer}
}
