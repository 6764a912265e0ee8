package activator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/throttler"
)

const clusterAddr = "10.96.0.7:80"

// behind are the endpoints of a revision whose private Service has a cluster IP.
func behind(readyIDs ...string) Endpoints {
	return Endpoints{Ready: endpoints(readyIDs...), ClusterIP: clusterAddr}
}

// way is where the next request would go, "" if it would wait.
func way(t *testing.T, a *Activator) string {
	t.Helper()
	l, ok, err := a.throttler.TryAcquire(throttler.Demand{Revision: rev})
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return ""
	}
	defer l.Release(throttler.OK)
	return l.Addr()
}

func asked(a *Activator, addr string) bool {
	for pr := range a.prober.pending {
		if pr.addr == addr {
			return true
		}
	}
	return false
}

var (
	meshSays = probeResult{status: maybeMesh}
	podSays  = probeResult{status: noMesh}
	yes      = probeResult{status: passed}
)

// TestMeshAuto: the cluster IP is tried when no pod passed and none ruled the mesh out.
func TestMeshAuto(t *testing.T) {
	type news struct {
		addr string
		f    probeResult
	}
	a, b := "a:8012", "b:8012"
	for _, c := range []struct {
		name   string
		config Config
		before Endpoints
		news   []news
		tried  bool
	}{
		{"nothing is known yet", Config{}, behind("a", "b"), nil, false},
		{"one of two has not answered yet", Config{}, behind("a", "b"), []news{{a, meshSays}}, false},
		{"both look like a mesh", Config{}, behind("a", "b"), []news{{a, meshSays}, {b, meshSays}}, true},
		{"one rules it out", Config{}, behind("a", "b"), []news{{a, meshSays}, {b, podSays}}, false},
		{"one rules it out later", Config{}, behind("a", "b"), []news{{a, meshSays}, {b, meshSays}, {b, podSays}}, false},
		{"one passed", Config{}, behind("a", "b"), []news{{a, yes}, {b, meshSays}}, false},
		{"one passes later", Config{}, behind("a", "b"), []news{{a, meshSays}, {b, meshSays}, {b, yes}}, false},
		{"a pod that starts says nothing", Config{}, Endpoints{Ready: endpoints("a"), NotReady: endpoints("b"), ClusterIP: clusterAddr}, []news{{a, meshSays}}, true},
		{"nobody is behind it", Config{}, Endpoints{NotReady: endpoints("a"), ClusterIP: clusterAddr}, []news{{a, meshSays}}, false},
		{"there is none", Config{}, Endpoints{Ready: endpoints("a")}, []news{{a, meshSays}}, false},
		{"disabled", Config{MeshMode: MeshDisabled}, behind("a"), []news{{a, meshSays}}, false},
		{"passthrough", Config{Passthrough: true}, behind("a"), []news{{a, meshSays}}, false},
		{"enabled, but passthrough", Config{MeshMode: MeshEnabled, Passthrough: true}, behind("a"), []news{{a, meshSays}}, false},
		{"enabled", Config{MeshMode: MeshEnabled}, behind("a"), nil, true},
		{"enabled, nobody is behind it", Config{MeshMode: MeshEnabled}, Endpoints{NotReady: endpoints("a"), ClusterIP: clusterAddr}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := unrun(t, c.config)
			a.UpdateRevision(Revision{ID: rev})
			a.UpdateEndpoints(rev, c.before)
			for _, n := range c.news {
				if !tell(a, n.addr, n.f) {
					t.Fatalf("%s is not probed", n.addr)
				}
			}
			if got := asked(a, clusterAddr); got != c.tried {
				t.Errorf("cluster IP probed: %v", got)
			}
			if c.tried {
				if w := way(t, a); w != "" {
					t.Errorf("%s is used before the probe of the cluster IP", w)
				}
				passAt(a, clusterAddr, true)
				if w := way(t, a); w != clusterAddr {
					t.Errorf("goes to %q", w)
				}
			}
			if mode := a.config.MeshMode; mode == MeshEnabled && asked(a, "a:8012") {
				t.Error("a pod is probed though the mesh is known to be there")
			}
			ready(t, a)
		})
	}
}

// TestPeers10DirectUseResumes: on the cluster IP pods are probed on, and used again when one has passed each probe for a
// second, all at once.
func TestPeers10DirectUseResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := unrun(t, Config{})
		a.UpdateRevision(Revision{ID: rev})
		a.UpdateEndpoints(rev, behind("a", "b"))
		tell(a, "a:8012", meshSays)
		tell(a, "b:8012", meshSays)
		passAt(a, clusterAddr, false)
		lease, _, _ := a.throttler.TryAcquire(throttler.Demand{Revision: rev})
		if lease.Addr() != clusterAddr {
			t.Fatal("not on the cluster IP")
		}
		// One that passes now and then is not enough.
		for range 5 {
			tell(a, "a:8012", yes)
			time.Sleep(900 * time.Millisecond)
			tell(a, "a:8012", meshSays)
			time.Sleep(time.Second)
			if w := way(t, a); w != clusterAddr {
				t.Fatalf("goes to %q", w)
			}
		}
		for range 6 {
			if w := way(t, a); w != clusterAddr {
				t.Fatalf("goes to %q", w)
			}
			tell(a, "a:8012", yes)
			time.Sleep(200 * time.Millisecond)
		}
		if w := way(t, a); w != "a:8012" || asked(a, clusterAddr) || asked(a, "a:8012") {
			t.Fatalf("goes to %q; cluster IP probed: %v, the pod: %v", w, asked(a, clusterAddr), asked(a, "a:8012"))
		}
		tell(a, "b:8012", yes)
		if n := ready(t, a); n != 2 {
			t.Errorf("%d pods in use", n)
		}
		lease.Release(throttler.OK)
		// And back, should the mesh be there once more.
		a.revisions.get(rev.Namespace, rev.Name).suspect("a")
		a.revisions.get(rev.Namespace, rev.Name).suspect("b")
		tell(a, "a:8012", meshSays)
		tell(a, "b:8012", meshSays)
		if passAt(a, clusterAddr, false); way(t, a) != clusterAddr {
			t.Error("not on the cluster IP again")
		}
	})
}

// TestPeers10ScaledToZero: the next cold start tries pods first.
func TestPeers10ScaledToZero(t *testing.T) {
	a := unrun(t, Config{})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdateEndpoints(rev, behind("a"))
	tell(a, "a:8012", meshSays)
	passAt(a, clusterAddr, false)
	a.UpdateEndpoints(rev, behind())
	if w := way(t, a); w != "" || len(probed(a)) > 0 {
		t.Fatalf("goes to %q, probed %v", w, probed(a))
	}
	a.UpdateEndpoints(rev, behind("b"))
	if asked(a, clusterAddr) {
		t.Error("the cluster IP is tried first")
	}
	if passAt(a, "b:8012", false); way(t, a) != "b:8012" {
		t.Error("the pod is not used")
	}
}

// TestClusterSlots: max(1, N × ready pods / activators).
func TestClusterSlots(t *testing.T) {
	for _, c := range []struct {
		limit, ready, peers, want int
		listed                    bool
	}{
		{0, 3, 2, -1, true}, {10, 3, 1, 30, true}, {10, 3, 2, 15, true}, {1, 1, 3, 1, true}, {10, 3, 2, 30, false},
	} {
		a := unrun(t, Config{MeshMode: MeshEnabled, PodIP: "1"})
		a.UpdateRevision(Revision{ID: rev, Limit: c.limit})
		var peers []string
		for i := range c.peers {
			if !c.listed {
				i += 5
			}
			peers = append(peers, string(rune('1'+i)))
		}
		a.UpdatePeers(rev, peers)
		a.UpdateEndpoints(rev, behind([]string{"a", "b", "c"}[:1]...))
		passAt(a, clusterAddr, false)
		a.UpdateEndpoints(rev, behind([]string{"a", "b", "c"}[:c.ready]...))
		if s, _ := a.throttler.Stats(rev); s.Slots != c.want || s.Ready != 1 {
			t.Errorf("%+v: %+v", c, s)
		}
	}
}

// TestClusterIPThatFails: it is out of use until a probe passes, and at its new address when it moves.
func TestClusterIPThatFails(t *testing.T) {
	a := unrun(t, Config{MeshMode: MeshEnabled})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdateEndpoints(rev, behind("a"))
	passAt(a, clusterAddr, false)
	a.revisions.get(rev.Namespace, rev.Name).suspect(clusterID)
	if w := way(t, a); w != "" {
		t.Fatalf("goes to %q", w)
	}
	if !passAt(a, clusterAddr, false) || way(t, a) != clusterAddr {
		t.Fatal("not used again")
	}
	e := behind("a")
	e.ClusterIP = "10.96.0.8:80"
	a.UpdateEndpoints(rev, e)
	if w := way(t, a); w != "" {
		t.Fatalf("goes to %q", w)
	}
	if !passAt(a, e.ClusterIP, false) || way(t, a) != e.ClusterIP {
		t.Fatal("not used at its new address")
	}
}

// TestMeshDisabled: Ready pods are used without a probe, others after one; a pod that could not be reached is probed.
func TestMeshDisabled(t *testing.T) {
	a := unrun(t, Config{MeshMode: MeshDisabled})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a"), NotReady: endpoints("b")})
	if n := ready(t, a); n != 1 || way(t, a) != "a:8012" {
		t.Fatalf("%d used", n)
	}
	if passAt(a, "b:8012", false); ready(t, a) != 2 {
		t.Error("no early use")
	}
	tr := a.revisions.get(rev.Namespace, rev.Name)
	tr.suspect("a")
	if n := ready(t, a); n != 1 {
		t.Errorf("%d used after a failed dial", n)
	}
	if !passAt(a, "a:8012", false) || ready(t, a) != 2 {
		t.Error("not used again")
	}
	a.UpdateEndpoints(rev, Endpoints{NotReady: endpoints("a", "b")})
	if n := ready(t, a); n != 1 {
		t.Errorf("%d used when one is not ready any more", n)
	}
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a", "b")})
	if n := ready(t, a); n != 2 {
		t.Errorf("%d used when both are ready", n)
	}
	a.DeleteRevision(rev)
	a.UpdateRevision(Revision{ID: rev})
	if n := ready(t, a); n != 2 {
		t.Errorf("%d used after the revision was gone", n)
	}
}

// TestFailuresBeforeReadyDontCount: a pod that starts refuses connections, which says nothing of a mesh when it is Ready.
func TestFailuresBeforeReadyDontCount(t *testing.T) {
	a := unrun(t, Config{})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdateEndpoints(rev, Endpoints{NotReady: endpoints("a"), ClusterIP: clusterAddr})
	tell(a, "a:8012", meshSays)
	a.UpdateEndpoints(rev, behind("a"))
	if asked(a, clusterAddr) {
		t.Error("the cluster IP is tried before the pod was asked again")
	}
	if tell(a, "a:8012", meshSays); !asked(a, clusterAddr) {
		t.Error("the cluster IP is not tried though the pod failed when it was Ready")
	}
}
