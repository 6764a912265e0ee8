package activator

import (
	"slices"
	"testing"

	"github.com/sluice-proxy/sluice/throttler"
	"pgregory.net/rapid"
)

// model is what TestTrackedModel expects.
type model struct {
	known  bool
	spec   Revision
	ready  map[string]bool // listed pods
	passed map[string]bool
}

// TestTrackedModel: whatever comes in whatever order, the throttler gives out exactly the pods that may be used, and
// exactly those that need a probe have one.
func TestTrackedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := unrun(t, Config{PodIP: "2"})
		m := model{ready: map[string]bool{}, passed: map[string]bool{}}
		ids := []string{"a", "b", "c", "d"}
		t.Repeat(map[string]func(*rapid.T){
			"revision": func(t *rapid.T) {
				m.known = true
				m.spec = Revision{ID: rev, Limit: rapid.IntRange(0, 2).Draw(t, "limit"), NoEarlyUse: rapid.Bool().Draw(t, "noEarly")}
				a.UpdateRevision(m.spec)
			},
			"delete": func(*rapid.T) {
				m.known = false
				clear(m.passed)
				a.DeleteRevision(rev)
			},
			"peers": func(t *rapid.T) {
				a.UpdatePeers(rev, rapid.SliceOfDistinct(rapid.SampledFrom([]string{"1", "2", "3"}), rapid.ID).Draw(t, "peers"))
			},
			"endpoints": func(t *rapid.T) {
				var e Endpoints
				now := map[string]bool{}
				for _, id := range ids {
					switch rapid.IntRange(0, 2).Draw(t, id) {
					case 1:
						now[id] = true
						e.Ready = append(e.Ready, endpoint(id))
					case 2:
						now[id] = false
						e.NotReady = append(e.NotReady, endpoint(id))
					}
				}
				for _, id := range ids {
					r, listed := now[id]
					if !listed || m.ready[id] && !r {
						delete(m.passed, id)
					}
				}
				m.ready = now
				a.UpdateEndpoints(rev, e)
			},
			"pass": func(t *rapid.T) {
				id := rapid.SampledFrom(ids).Draw(t, "id")
				if passAt(a, id+":8012", rapid.Bool().Draw(t, "spillover")) {
					m.passed[id] = true
				}
			},
			"": func(t *rapid.T) { m.check(t, a) },
		})
	})
}

func (m *model) check(t *rapid.T, a *Activator) {
	var wantProbed []string
	usable := 0
	for id, r := range m.ready {
		switch {
		case !m.known:
		case !m.passed[id]:
			wantProbed = append(wantProbed, id+":8012")
		case r:
			usable++
		case !m.spec.NoEarlyUse: // in use, and watched
			usable++
			wantProbed = append(wantProbed, id+":8012")
		}
	}
	slices.Sort(wantProbed)
	if got := probed(a); !slices.Equal(got, wantProbed) {
		t.Fatalf("probed %v, want %v", got, wantProbed)
	}
	if got := ready(t, a); got != usable {
		t.Fatalf("%d pods in use, want %d", got, usable)
	}
	if s, ok := a.throttler.Stats(rev); ok && usable > 0 && s.Slots == 0 {
		t.Fatal("an empty share though there are pods")
	}
	m.checkShares(t, a)
}

// checkShares: the throttler has been told of each pod in use whose it is, by all that is known now.
func (m *model) checkShares(t *rapid.T, a *Activator) {
	tr := a.revisions.get(rev.Namespace, rev.Name)
	if tr == nil || !m.known {
		return
	}
	var (
		pods  []*pod
		addrs []string
	)
	for id, r := range m.ready {
		if m.passed[id] && (r || !m.spec.NoEarlyUse) {
			pods, addrs = append(pods, tr.pods.byID[id]), append(addrs, tr.pods.byID[id].Addr)
		}
	}
	shared := m.spec.Limit > 0 && len(tr.pods.peers) > 1
	for i, own := range throttler.Share(addrs, tr.pods.peers, "2") {
		if p := pods[i]; p.backend.Own != (own || !shared) {
			t.Fatalf("%s of %v among %v: told as own: %t", p.ID, addrs, tr.pods.peers, p.backend.Own)
		}
	}
}
