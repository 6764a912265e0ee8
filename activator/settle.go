package activator

import (
	"maps"
	"slices"

	"github.com/sluice-proxy/sluice/throttler"
)

// settleLocked draws the conclusions from a change of some pods, which may change the shares of all, and whether pods
// are the way to go.
func (t *tracked) settleLocked(changed []*pod, gone []string) {
	s := t.spec.Load()
	if s == nil {
		return
	}
	turned := t.routeLocked()
	gone = t.dropClusterLocked(gone)
	if turned || t.sharedLocked(s) && len(changed)+len(gone) > 0 {
		t.tellAllLocked(s, gone)
		return
	}
	slices.SortFunc(changed, byID)
	t.tellLocked(s, changed, gone)
}

// settleAllLocked draws the conclusions from a change that concerns all pods.
func (t *tracked) settleAllLocked() {
	if s := t.spec.Load(); s != nil {
		t.routeLocked()
		t.tellAllLocked(s, t.dropClusterLocked(nil))
	}
}

// dropClusterLocked adds the cluster IP to what is gone, when pods are the way to go.
func (t *tracked) dropClusterLocked(gone []string) []string {
	if t.fallback || !t.cluster.told {
		return gone
	}
	t.cluster.told = false
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

// tellAllLocked brings the throttler up to date with every pod.
func (t *tracked) tellAllLocked(s *spec, gone []string) {
	all := slices.SortedFunc(maps.Values(t.pods), byID)
	t.shareLocked(s, all)
	t.tellLocked(s, all, gone)
}

// shareLocked finds out which of the pods that can be used are this activator's own. Those that can't be are not shared
// out: a share of them would be no share.
func (t *tracked) shareLocked(s *spec, all []*pod) {
	var (
		pods  []*pod
		addrs []string
	)
	for _, p := range all {
		p.foreign = false
		if t.usesLocked(p, s) {
			pods, addrs = append(pods, p), append(addrs, p.Addr)
		}
	}
	if !t.sharedLocked(s) {
		return
	}
	for i, own := range throttler.Share(addrs, t.peers, t.a.config.PodIP) {
		pods[i].foreign = !own
	}
}
