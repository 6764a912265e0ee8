package activator

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMeshModel: whatever probes find out in whatever order, requests go to pods or to the cluster IP, never to both;
// what may still change for the better is being probed; and pods that pass are used sooner or later.
func TestMeshModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]MeshMode{MeshAuto, MeshEnabled, MeshDisabled}).Draw(t, "mode")
		a := unrun(t, Config{MeshMode: mode})
		ids := []string{"a", "b", "c"}
		listed := Endpoints{}
		a.UpdateRevision(Revision{ID: rev})
		t.Repeat(map[string]func(*rapid.T){
			"endpoints": func(t *rapid.T) {
				listed = Endpoints{ClusterIP: rapid.SampledFrom([]string{clusterAddr, clusterAddr, ""}).Draw(t, "cluster")}
				for _, id := range ids {
					switch rapid.IntRange(0, 3).Draw(t, id) {
					case 0:
					case 1:
						listed.NotReady = append(listed.NotReady, endpoint(id))
					default:
						listed.Ready = append(listed.Ready, endpoint(id))
					}
				}
				a.UpdateEndpoints(rev, listed)
			},
			"probe": func(t *rapid.T) {
				all := probed(a)
				if len(all) == 0 {
					t.Skip("nothing is probed")
				}
				v := rapid.SampledFrom([]probeStatus{passed, maybeMesh, maybeMesh, noMesh}).Draw(t, "status")
				tell(a, rapid.SampledFrom(all).Draw(t, "addr"), probeResult{status: v})
			},
			"suspect": func(t *rapid.T) {
				id := rapid.SampledFrom(append(ids, clusterID)).Draw(t, "id")
				if tr := a.revisions.get(rev.Namespace, rev.Name); tr != nil {
					tr.suspect(id)
				}
			},
			"time": func(t *rapid.T) { later(a, time.Duration(rapid.IntRange(1, 1200).Draw(t, "ms"))*time.Millisecond) },
			"":     func(t *rapid.T) { checkMesh(t, a, mode, listed) },
		})
		// In the end every probe passes, again and again.
		for range 20 {
			for _, addr := range probed(a) {
				tell(a, addr, yes)
			}
			later(a, 100*time.Millisecond)
		}
		want := len(listed.Ready) + len(listed.NotReady)
		if mode == MeshEnabled {
			want = min(len(listed.Ready), len(listed.ClusterIP), 1)
		}
		if got := ready(t, a); got != want {
			t.Fatalf("%d in use in the end, want %d", got, want)
		}
	})
}

// later lets time pass, in which each pod that passes its probes has done so.
func later(a *Activator, d time.Duration) {
	for _, t := range a.revisions.all() {
		for _, p := range t.pods.byID {
			p.since = p.since.Add(-d)
		}
	}
}

func checkMesh(t *rapid.T, a *Activator, mode MeshMode, listed Endpoints) {
	tr := a.revisions.get(rev.Namespace, rev.Name)
	n := ready(t, a)
	if tr.pods.cluster.used && (n != 1 || mode == MeshDisabled || len(listed.Ready) == 0 || listed.ClusterIP == "") {
		t.Fatalf("the cluster IP is in use; so are %d in all, of %+v", n, listed)
	}
	for id, p := range tr.pods.byID {
		switch {
		case mode == MeshEnabled:
			if p.probe != nil || p.used {
				t.Fatalf("%s is probed or used", id)
			}
		case !p.passed && p.probe == nil:
			t.Fatalf("%s has not passed and is not probed", id)
		case p.passed && !tr.pods.meshed && !p.used:
			t.Fatalf("%s has passed and is not used", id)
		case tr.pods.meshed && p.probe == nil:
			t.Fatalf("%s is not examined", id)
		}
	}
	if tr.pods.fallback && !tr.pods.cluster.passed && tr.pods.cluster.probe == nil {
		t.Fatal("the cluster IP is neither used nor probed")
	}
}
