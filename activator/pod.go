package activator

import (
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/throttler"
)

// pod is an endpoint and what has been found out about it; the cluster IP is one too. It is guarded by the mutex of its
// tracked.
type pod struct {
	Endpoint
	ready   bool        // says Kubernetes
	trusted bool        // ready, and that is enough: MeshDisabled
	passed  bool        // says its probe
	since   time.Time   // it has passed each probe since
	status  probeStatus // of the last probe since it was new or became ready
	fails   int         // probes that failed in a row
	why     probeResult // of the last probe that failed since it was new
	blamed  time.Time   // when that was
	// declines: its queue-proxy has said that it says so when it does not process a request, and that it refuses rather
	// than queues when asked to.
	declines bool
	probe    *probe // in progress, or nil
	seen     uint64 // the last round of its tracked that listed it

	announced bool // by itself, and not listed since

	remote    bool // in the share of another activator
	ordered   bool // in tracked.order
	counted   bool // in tracked.usable
	published bool // the throttler knows it, as backend
	backend   throttler.Backend
}

func byID(p, q *pod) int { return strings.Compare(p.ID, q.ID) }

// restart forgets what probes have said.
func (p *pod) restart() {
	p.passed, p.trusted, p.status, p.fails, p.declines, p.why = false, false, unasked, 0, false, probeResult{}
	p.rest()
}

// rest ends the probe in progress.
func (p *pod) rest() {
	if p.probe != nil {
		p.probe.stop()
		p.probe = nil
	}
}

// usable says whether p may get requests, if pods may at all.
func (p *pod) usable(s *spec) bool {
	return p.trusted || p.passed && (p.ready || !s.NoEarlyUse)
}

// probeLocked sees to it that p is being probed if it has to be, and is not otherwise.
func (t *tracked) probeLocked(p *pod) {
	s := t.spec.Load()
	switch {
	case s == nil:
		return
	case p.passed && !t.watchedLocked(p, s):
		p.rest()
		return
	case p.probe != nil:
		return
	case p != &t.cluster && t.a.config.MeshMode == MeshEnabled:
		return
	}
	pr := &probe{addr: p.Addr, revision: t.id, demand: &t.demand, kind: s.Probe}
	if host := t.host.Load(); host != nil {
		pr.host = *host
	}
	pr.found = func(f probeResult) pace { return t.found(p, pr, f) }
	p.probe = pr
	t.a.prober.start(pr)
}

// watchedLocked says that p is probed on though it has passed: until Kubernetes calls it Ready too, or until enough is
// known to leave the cluster IP.
func (t *tracked) watchedLocked(p *pod, s *spec) bool {
	return p != &t.cluster && (t.meshed || !p.ready && !s.NoEarlyUse)
}

// publishLocked brings the throttler up to date with some pods, and with the cluster IP. One that may not be used is still
// told when it was before, as draining, so that its requests in flight stay counted.
func (t *tracked) publishLocked(s *spec, pods iter.Seq[*pod], gone []string) {
	var changed []throttler.Backend
	for p := range pods {
		if b, ok := t.diffLocked(p, s); ok {
			changed = append(changed, b)
		}
	}
	slices.SortFunc(changed, func(a, b throttler.Backend) int { return strings.Compare(a.ID, b.ID) }) // their order is that of picks
	if b, ok := t.diffLocked(&t.cluster, s); ok {
		changed = append(changed, b)
	}
	if len(changed)+len(gone) > 0 {
		t.a.throttler.PatchBackends(t.id, changed, gone)
	}
}

// diffLocked is p as the throttler should know it, if it doesn't.
func (t *tracked) diffLocked(p *pod, s *spec) (throttler.Backend, bool) {
	if !p.published && !t.usesLocked(p, s) {
		return throttler.Backend{}, false
	}
	b := t.desiredLocked(p, s)
	if p.published && b == p.backend {
		return throttler.Backend{}, false
	}
	p.backend, p.published = b, true
	p.countLocked(t, b.State == throttler.Ready)
	return b, true
}

func (t *tracked) desiredLocked(p *pod, s *spec) throttler.Backend {
	b := throttler.Backend{
		ID: p.ID, Addr: p.Addr, Slots: s.Limit, Own: !p.remote, Spillover: p.declines, Declines: p.declines, State: throttler.Ready,
	}
	port := knative.PortTLS
	if p == &t.cluster {
		b.Slots, b.Spillover, port = t.clusterSlotsLocked(s), false, clusterPortTLS
	}
	if t.a.config.PodTLS != nil {
		b.Addr = withPort(p.Addr, port)
	}
	if !t.usesLocked(p, s) {
		b.State = throttler.Draining
	}
	return b
}

func withPort(addr string, port int) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
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
