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
		keys := map[uint64]*affinity{}
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
				key := rapid.Uint64Range(1, 20).Draw(t, "key")
				a := keys[key]
				if a == nil {
					a = &affinity{key: key}
					keys[key] = a
				}
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
					if got := r.choose(set, a, avoid); got != want {
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

// The key of a request that waits isn't forgotten, which would make it another's.
func TestKeyOfAWaitingRequestIsKept(t *testing.T) {
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := RevisionID{"default", "a"}
	th.SetRevision(id, RevisionConfig{})
	backends := []Backend{{ID: "a", Own: true, Slots: 1}, {ID: "b", Own: true, Slots: 1}}
	th.SetBackends(id, backends)
	home, _, _ := th.TryAcquire(Demand{Revision: id, Key: 7})
	home.Release(OK)
	th.SetBackends(id, nil)
	done := make(chan struct{})
	_, place, err := th.Queue(Demand{Revision: id, Key: 7}, func() { close(done) })
	if err != nil {
		t.Fatal(err)
	}
	for key := range uint64(maxRevisionKeys + 100) {
		_, _, _ = th.TryAcquire(Demand{Revision: id, Key: 1000 + key})
	}
	th.SetBackends(id, backends)
	<-done
	if l, err := place.Leave(nil); err != nil || l.ID() != home.ID() || l.KeyEpoch() != home.KeyEpoch() {
		t.Errorf("%s at %d, want %s at %d: %v", l.ID(), l.KeyEpoch(), home.ID(), home.KeyEpoch(), err)
	}
}

// A revision that has had a key once keeps nothing of pods that have come and gone since.
func TestRingForgetsPods(t *testing.T) {
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := RevisionID{"default", "a"}
	th.SetRevision(id, RevisionConfig{})
	_, _, _ = th.TryAcquire(Demand{Revision: id, Key: 1})
	for i := range 10_000 {
		th.SetBackends(id, []Backend{{ID: fmt.Sprint(i), Own: true}})
	}
	if r := th.find(id); len(r.free.ring.fresh)+len(r.free.ring.places) > 200 {
		t.Errorf("%d pods are remembered", len(r.free.ring.fresh))
	}
}

// Requests that end after their revision's deletion don't look at each other's keys.
func BenchmarkTurnsEndAfterDeletion(b *testing.B) {
	for b.Loop() {
		th, err := New(Config{})
		if err != nil {
			b.Fatal(err)
		}
		id := RevisionID{"default", "a"}
		th.SetRevision(id, RevisionConfig{})
		turns := make([]Turn, 10_000)
		for i := range turns {
			if _, _, err := th.Queue(Demand{Revision: id, Key: uint64(i) + 1, Turn: &turns[i]}, func() {}); err != nil {
				b.Fatal(err)
			}
		}
		th.DeleteRevision(id)
		for i := range turns {
			turns[i].End()
		}
		if n := th.Totals().Keys; n != 0 {
			b.Fatal(n)
		}
	}
}

// However many keys other revisions have, each remembers some.
func TestRevisionsShareTheKeys(t *testing.T) {
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 8 {
		id := RevisionID{"default", fmt.Sprint(n)}
		th.SetRevision(id, RevisionConfig{})
		for key := range uint64(maxRevisionKeys + 10) {
			_, _, _ = th.TryAcquire(Demand{Revision: id, Key: key + 1})
		}
		if has := len(th.find(id).keys.byKey); has < maxKeys>>(n+2) {
			t.Errorf("the %d. revision remembers %d keys", n+1, has)
		}
	}
	if n := th.Totals().Keys; n > maxKeys {
		t.Errorf("%d keys are remembered, at most %d may", n, maxKeys)
	}
}
