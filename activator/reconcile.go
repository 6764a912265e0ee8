package activator

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/throttler"
)

// reconcileLocked draws the conclusions from a change of some pods, which may change the shares of all, and whether pods
// are the way to go.
func (t *tracked) reconcileLocked(changed []*pod, gone []string) {
	s := t.spec.Load()
	if s == nil {
		return
	}
	turned := t.routeLocked()
	gone = t.dropClusterLocked(gone)
	if turned || t.sharedLocked(s) && len(changed)+len(gone) > 0 {
		t.publishAllLocked(s, gone)
		return
	}
	t.publishLocked(s, slices.Values(changed), gone)
}

// reconcileAllLocked draws the conclusions from a change that concerns all pods.
func (t *tracked) reconcileAllLocked() {
	if s := t.spec.Load(); s != nil {
		t.routeLocked()
		t.publishAllLocked(s, t.dropClusterLocked(nil))
	}
}

// dropClusterLocked adds the cluster IP to what is gone, when pods are the way to go.
func (t *tracked) dropClusterLocked(gone []string) []string {
	if t.fallback || !t.cluster.published {
		return gone
	}
	t.cluster.published = false
	t.cluster.countLocked(t, false)
	return append(gone, clusterID)
}

// usesLocked says that p may get requests.
func (t *tracked) usesLocked(p *pod, s *spec) bool {
	if p == &t.cluster {
		return t.fallback && p.passed
	}
	return !t.meshed && p.usable(s)
}

// sharedLocked says that this activator has only a share of the pods.
func (t *tracked) sharedLocked(s *spec) bool {
	return s.Limit > 0 && len(t.peers) > 1 && t.a.config.PodIP != ""
}

// publishAllLocked brings the throttler up to date with every pod.
func (t *tracked) publishAllLocked(s *spec, gone []string) {
	t.shareLocked(s)
	t.publishLocked(s, maps.Values(t.pods), gone)
}

// shareLocked finds out which of the pods that can be used are this activator's own. Those that can't be are not shared
// out: a share of them would be no share.
func (t *tracked) shareLocked(s *spec) {
	shared := t.sharedLocked(s)
	t.order = slices.DeleteFunc(t.order, func(p *pod) bool {
		p.ordered = shared && t.usesLocked(p, s)
		return !p.ordered
	})
	for _, p := range t.pods {
		p.remote = false
		if shared && !p.ordered && t.usesLocked(p, s) {
			t.order, p.ordered = append(t.order, p), true
		}
	}
	if !shared {
		return
	}
	// In order but for a few, mostly, which takes little to sort.
	slices.SortFunc(t.order, func(p, q *pod) int { return cmp.Or(strings.Compare(p.Addr, q.Addr), byID(p, q)) })
	addrs := make([]string, len(t.order))
	for i, p := range t.order {
		addrs[i] = p.Addr
	}
	for i, own := range throttler.Share(addrs, t.peers, t.a.config.PodIP) {
		t.order[i].remote = !own
	}
}
