package activator

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"weak"

	"github.com/sluice-proxy/sluice/throttler"
	"pgregory.net/rapid"
)

// unrun is an activator that nobody runs: probes start and pass by hand.
func unrun(t rapid.TB, c Config) *Activator {
	t.Helper()
	a, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var rev = throttler.RevisionID{Namespace: "default", Name: "hello-00001"}

// passAt lets the probe of an address pass, and says whether there was one.
func passAt(a *Activator, addr string, spills bool) bool {
	return tell(a, addr, probeResult{status: passed, declines: spills})
}

// tell lets the probe of an address find out something, and says whether there was one.
func tell(a *Activator, addr string, f probeResult) bool {
	for pr := range a.prober.pending {
		if pr.addr == addr {
			delete(a.prober.pending, pr)
			if pr.found(f) != done {
				a.prober.start(pr)
			}
			return true
		}
	}
	return false
}

func probed(a *Activator) []string {
	var all []string
	for pr := range a.prober.pending {
		all = append(all, pr.addr)
	}
	slices.Sort(all)
	return all
}

func endpoint(id string) Endpoint { return Endpoint{ID: id, Addr: id + ":8012"} }

func endpoints(ids ...string) []Endpoint {
	var all []Endpoint
	for _, id := range ids {
		all = append(all, endpoint(id))
	}
	return all
}

// ready is how many pods the throttler gives out.
func ready(t rapid.TB, a *Activator) int {
	t.Helper()
	s, ok := a.throttler.Stats(rev)
	if !ok {
		return 0
	}
	if st, _ := a.Stats(rev); st.Usable != s.Ready {
		t.Fatalf("%d pods counted as usable, the throttler has %d", st.Usable, s.Ready)
	}
	return s.Ready
}

func TestReadyPodsAreUsedOnlyAfterAProbe(t *testing.T) {
	a := unrun(t, Config{})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
	if n := ready(t, a); n != 0 {
		t.Fatalf("%d used before a probe", n)
	}
	if !passAt(a, "a:8012", false) || ready(t, a) != 1 {
		t.Fatal("not used after its probe")
	}
}

// TestEarlyUseWithoutAGap: a pod that passed while not ready is used at once, and goes on being used when it becomes
// ready.
func TestEarlyUseWithoutAGap(t *testing.T) {
	a := unrun(t, Config{})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdateEndpoints(rev, Endpoints{NotReady: endpoints("a")})
	passAt(a, "a:8012", false)
	if ready(t, a) != 1 {
		t.Fatal("not used early")
	}
	before, _ := a.throttler.Stats(rev)
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
	if after, _ := a.throttler.Stats(rev); after != before || len(probed(a)) > 0 {
		t.Errorf("becoming ready changed %+v to %+v, probes %v", before, after, probed(a))
	}
}

func TestNoEarlyUse(t *testing.T) {
	a := unrun(t, Config{})
	a.UpdateRevision(Revision{ID: rev, NoEarlyUse: true})
	a.UpdateEndpoints(rev, Endpoints{NotReady: endpoints("a")})
	passAt(a, "a:8012", false)
	if ready(t, a) != 0 {
		t.Fatal("used before it was ready")
	}
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
	if ready(t, a) != 1 {
		t.Fatal("not used though its probe has passed and it is ready")
	}
}

// TestPeers2NotReadyIsProbedAgain: a pod that turns from ready to not ready gets nothing until a probe passes, and its
// request in flight stays counted.
func TestPeers2NotReadyIsProbedAgain(t *testing.T) {
	a := unrun(t, Config{})
	a.UpdateRevision(Revision{ID: rev, Limit: 1})
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
	passAt(a, "a:8012", false)
	lease, ok, err := a.throttler.TryAcquire(throttler.Demand{Revision: rev})
	if !ok {
		t.Fatal(err)
	}
	a.UpdateEndpoints(rev, Endpoints{NotReady: endpoints("a")})
	if ready(t, a) != 0 {
		t.Fatal("used though not ready any more")
	}
	if !passAt(a, "a:8012", false) || ready(t, a) != 1 {
		t.Fatal("not probed again")
	}
	if _, ok, _ := a.throttler.TryAcquire(throttler.Demand{Revision: rev}); ok {
		t.Fatal("a second request at limit 1: the flap lost count of the first")
	}
	lease.Release(throttler.OK)
	if _, ok, _ := a.throttler.TryAcquire(throttler.Demand{Revision: rev}); !ok {
		t.Fatal("no slot after the release")
	}
}

func TestLateNewsOfAProbeIsIgnored(t *testing.T) {
	a := unrun(t, Config{})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a")})
	var old *probe
	for pr := range a.prober.pending {
		old = pr
	}
	a.UpdateEndpoints(rev, Endpoints{Ready: []Endpoint{{ID: "a", Addr: "elsewhere:8012"}}})
	old.found(probeResult{status: passed})
	if ready(t, a) != 0 {
		t.Fatal("the answer of the old address counted for the new one")
	}
	if passAt(a, "elsewhere:8012", false); ready(t, a) != 1 {
		t.Fatal("not used at its new address")
	}
}

func TestEndpointsBeforeRevision(t *testing.T) {
	a := unrun(t, Config{PodIP: "10.0.0.2"})
	a.UpdatePeers(rev, []string{"10.0.0.1", "10.0.0.2"})
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a", "b")})
	if len(probed(a)) != 0 {
		t.Error("probed for a revision that isn't known")
	}
	a.UpdateRevision(Revision{ID: rev, Limit: 1})
	passAt(a, "a:8012", true)
	passAt(a, "b:8012", true)
	if s, _ := a.throttler.Stats(rev); s.Ready != 2 || s.Slots != 1 {
		t.Errorf("ready %d, own slots %d; want 2, 1", s.Ready, s.Slots)
	}
}

// TestNothingIsKept: what nothing is known of any more leaves nothing behind.
func TestNothingIsKept(t *testing.T) {
	a := unrun(t, Config{})
	for i := range 100 {
		id := throttler.RevisionID{Namespace: "n", Name: fmt.Sprint(i)}
		a.UpdateEndpoints(id, Endpoints{Ready: endpoints("a"), ClusterIP: "c"})
		a.UpdateRevision(Revision{ID: id})
		a.UpdatePeers(id, []string{"p"})
		a.DeleteRevision(id)
		a.UpdateEndpoints(id, Endpoints{})
		a.UpdatePeers(id, nil)
		a.DeleteRevision(id)
	}
	if n := len(a.revisions.byID) + len(a.prober.pending) + a.throttler.Totals().Revisions; n != 0 {
		t.Errorf("%d things left", n)
	}
}

// TestPodsThatAreGoneAreNotKept: a revision that has scaled down holds the memory of the pods that it has, not of those that it
// had.
func TestPodsThatAreGoneAreNotKept(t *testing.T) {
	for _, peers := range [][]string{nil, {"1", "2", "3"}} {
		a := unrun(t, Config{PodIP: "2"})
		a.UpdatePeers(rev, peers)
		a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a", "b", "c")})
		a.UpdateRevision(Revision{ID: rev, Limit: 1})
		var had []weak.Pointer[pod]
		for id, p := range a.revisions.get(rev.Namespace, rev.Name).pods.byID {
			passAt(a, id+":8012", false)
			had = append(had, weak.Make(p))
		}
		a.UpdateEndpoints(rev, Endpoints{})
		runtime.GC()
		for _, p := range had {
			if p.Value() != nil {
				t.Errorf("%s is kept, with peers %v", p.Value().ID, peers)
			}
		}
		runtime.KeepAlive(a)
	}
}

// TestShares: for each number of activators every pod is own to one of them, and remote ones may take spillover.
func TestShares(t *testing.T) {
	pods := []string{"a", "b", "c", "d", "e"}
	for peers := 1; peers <= 7; peers++ {
		var ips []string
		for i := range peers {
			ips = append(ips, fmt.Sprintf("10.0.0.%d", i))
		}
		owners := map[string]int{}
		for _, ip := range ips {
			a := unrun(t, Config{PodIP: ip})
			a.UpdateRevision(Revision{ID: rev, Limit: 2})
			a.UpdateEndpoints(rev, Endpoints{Ready: endpoints(pods...)})
			a.UpdatePeers(rev, ips)
			for _, id := range pods {
				passAt(a, id+":8012", true)
			}
			own := 0
			for id, p := range a.revisions.get(rev.Namespace, rev.Name).pods.byID {
				if p.backend.Own {
					owners[id]++
					own++
				}
			}
			if s, _ := a.throttler.Stats(rev); own == 0 || s.Slots != 2*own || s.Ready != len(pods) {
				t.Errorf("%d peers: %s owns %d, %+v", peers, ip, own, s)
			}
		}
		if len(owners) != len(pods) {
			t.Errorf("%d peers: pods with an owner: %v", peers, slices.Sorted(maps.Keys(owners)))
		}
		for id, n := range owners {
			if peers <= len(pods) && n != 1 {
				t.Errorf("%d peers: %s has %d owners", peers, id, n)
			}
		}
	}
}

func TestNoSharesWithoutALimit(t *testing.T) {
	a := unrun(t, Config{PodIP: "1"})
	a.UpdateRevision(Revision{ID: rev})
	a.UpdatePeers(rev, []string{"1", "2"})
	a.UpdateEndpoints(rev, Endpoints{Ready: endpoints("a", "b")})
	passAt(a, "a:8012", true)
	passAt(a, "b:8012", true)
	for id, p := range a.revisions.get(rev.Namespace, rev.Name).pods.byID {
		if !p.backend.Own {
			t.Errorf("%s is remote though pods are unlimited", id)
		}
	}
	a.UpdateRevision(Revision{ID: rev, Limit: 3})
	if s, _ := a.throttler.Stats(rev); s.Slots != 3 {
		t.Errorf("%d slots after a limit was set; want 3 of one pod", s.Slots)
	}
}
