package throttler

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The search finds what comparing all pods finds, while pods come, go, fill up and empty.
func TestRingFindsTheBestScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ring{on: true}
		var pods []*pod
		for i := range rapid.SampledFrom([]int{1, 2, 7, 64, 130}).Draw(t, "pods") {
			pods = append(pods, &pod{Backend: Backend{ID: fmt.Sprint(i), Slots: 2}})
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				p := rapid.SampledFrom(pods).Draw(t, "pod")
				listed := rapid.Bool().Draw(t, "listed")
				p.Own, p.Spillover = rapid.Bool().Draw(t, "own"), rapid.Bool().Draw(t, "spillover")
				p.inFlight = rapid.IntRange(0, 2).Draw(t, "in flight")
				switch p.listed = listed; {
				case listed && !p.onRing:
					r.add(p)
				case !listed:
					r.remove(p)
				}
				r.update(p)
			},
			"choose": func(t *rapid.T) {
				key := rapid.Uint64Min(1).Draw(t, "key")
				avoid := avoided{rapid.SampledFrom(pods).Draw(t, "avoid").ID}
				for set, in := range map[ringSet]func(*pod) bool{
					ownWithRoom:  func(p *pod) bool { return p.Own && p.inFlight < 2 },
					anyWithRoom:  func(p *pod) bool { return (p.Own || p.Spillover) && p.inFlight < 2 },
					ownToWaitFor: func(p *pod) bool { return p.Own },
				} {
					var want *pod
					nearest := uint64(math.MaxUint64)
					for _, p := range pods {
						if !p.listed || !in(p) || avoid.has(p) {
							continue
						}
						for i := range uint64(probes) {
							if d := Key(p.ID) - scramble(key+i*0x9e3779b97f4a7c15); want == nil || d < nearest {
								want, nearest = p, d
							}
						}
					}
					if got := r.choose(set, key, avoid); got != want {
						t.Fatalf("set %d: %+v, want %+v", set, got, want)
					}
				}
			},
		})
	})
}

// Keys are forgotten, the one that was not used for longest first; not one whose turn it is.
func TestKeysAreForgotten(t *testing.T) {
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := RevisionID{"default", "a"}
	th.SetRevision(id, RevisionConfig{})
	th.SetBackends(id, []Backend{{ID: "a", Own: true}})
	use := func(key uint64, turn *Turn) Lease {
		l, ok, err := th.TryAcquire(Demand{Revision: id, Key: key, Turn: turn})
		if !ok {
			t.Fatal(err)
		}
		l.Release(OK)
		return l
	}
	var turn Turn
	held, first := use(1, &turn), use(2, nil)
	for key := uint64(3); key < maxRevisionKeys+100; key++ {
		use(key, nil)
	}
	if n := th.Totals().Keys; n != maxRevisionKeys {
		t.Errorf("%d keys are remembered, want %d", n, maxRevisionKeys)
	}
	if again := use(2, nil); again.KeyEpoch() <= first.KeyEpoch() {
		t.Errorf("epoch %d of a key that was forgotten, after %d", again.KeyEpoch(), first.KeyEpoch())
	}
	if again := use(1, &turn); again.KeyEpoch() != held.KeyEpoch() {
		t.Errorf("epoch %d, want %d: its turn has not ended", again.KeyEpoch(), held.KeyEpoch())
	}
	turn.End()
}
