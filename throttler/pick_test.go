package throttler_test

import (
	"testing"

	"github.com/sluice-proxy/sluice/throttler"
)

// Which pick goes with which containerConcurrency (contract, "Concurrency"): up to 3 the first pod is filled first, above
// the pods take turns, and without a limit the one with fewest in flight is taken.
func TestPickFollowsTheLimit(t *testing.T) {
	for slots, want := range map[int]string{1: "abc", 2: "aab", 3: "aaa", 4: "abc", 100: "abc"} {
		th, err := throttler.New(throttler.Config{})
		if err != nil {
			t.Fatal(err)
		}
		id := revisionID(0)
		th.SetRevision(id, throttler.RevisionConfig{})
		var pods []throttler.Backend
		for _, name := range []string{"a", "b", "c"} {
			pods = append(pods, throttler.Backend{ID: name, Addr: name, Slots: slots, Own: true})
		}
		th.SetBackends(id, pods)
		got := ""
		for range 3 {
			got += acquire(t, th, throttler.Demand{Revision: id}).ID()
		}
		if got != want {
			t.Errorf("%d slots: %s, want %s", slots, got, want)
		}
	}
	th, err := throttler.New(throttler.Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := revisionID(0)
	th.SetRevision(id, throttler.RevisionConfig{})
	th.SetBackends(id, []throttler.Backend{{ID: "a", Addr: "a", Own: true}, {ID: "b", Addr: "b", Own: true}})
	first, second := acquire(t, th, throttler.Demand{Revision: id}), acquire(t, th, throttler.Demand{Revision: id})
	if first.ID() == second.ID() {
		t.Errorf("without a limit two requests went to %s", first.ID())
	}
	second.Release(throttler.OK)
	if third := acquire(t, th, throttler.Demand{Revision: id}); third.ID() != second.ID() {
		t.Errorf("without a limit the third request went to %s, which was busy", third.ID())
	}
}
