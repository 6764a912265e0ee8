package throttler

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBitsetAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s bitset
		size := 0
		model := map[int]bool{}
		lowest := func(from int) int {
			for i := from; i < size; i++ {
				if model[i] {
					return i
				}
			}
			return -1
		}
		t.Repeat(map[string]func(*rapid.T){
			"grow": func(t *rapid.T) {
				size = max(size, rapid.IntRange(1, 9000).Draw(t, "n"))
				s.grow(size)
			},
			"set": func(t *rapid.T) {
				if size > 0 {
					i := rapid.IntRange(0, size-1).Draw(t, "i")
					s.set(i)
					model[i] = true
				}
			},
			"clear": func(t *rapid.T) {
				if size > 0 {
					i := rapid.IntRange(0, size-1).Draw(t, "i")
					s.clear(i)
					delete(model, i)
				}
			},
			"": func(t *rapid.T) {
				from := rapid.IntRange(0, size+100).Draw(t, "from")
				if got, want := s.next(from), lowest(from); got != want {
					t.Fatalf("next(%d) = %d, want %d", from, got, want)
				}
				want := lowest(from)
				if want < 0 {
					want = lowest(0)
				}
				if got := s.nextAround(from); got != want {
					t.Fatalf("nextAround(%d) = %d, want %d", from, got, want)
				}
			},
		})
	})
}

func TestFewestAgainstSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fewest
		pods := make([]*pod, 8)
		for i := range pods {
			pods[i] = &pod{Backend: Backend{ID: string(rune('a' + i))}, rank: unranked}
		}
		count := map[*pod]int{}
		one := rapid.SampledFrom(pods)
		t.Repeat(map[string]func(*rapid.T){
			"toggle": func(t *rapid.T) {
				p := one.Draw(t, "pod")
				if _, in := count[p]; in {
					f.remove(p)
					delete(count, p)
					return
				}
				count[p] = rapid.IntRange(0, 20).Draw(t, "count")
				f.add(p, count[p])
			},
			"move": func(t *rapid.T) {
				p := one.Draw(t, "pod")
				if _, in := count[p]; in {
					count[p] = rapid.IntRange(0, 20).Draw(t, "count")
					f.move(p, count[p])
				}
			},
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "chance") == 0 {
					f.reset()
					clear(count)
				}
			},
			"": func(t *rapid.T) { checkFewest(t, &f, pods, count) },
		})
	})
}

func checkFewest(t *rapid.T, f *fewest, pods []*pod, count map[*pod]int) {
	if len(f.pods) != len(count) {
		t.Fatalf("%d pods, want %d", len(f.pods), len(count))
	}
	for i, p := range f.pods {
		if c, in := count[p]; !in || p.ranked != c || int(p.rank) != i {
			t.Fatalf("%s at %d: rank %d, count %d, want %d, %v", p.ID, i, p.rank, p.ranked, c, in)
		}
	}
	if !slices.IsSortedFunc(f.pods, func(a, b *pod) int { return a.ranked - b.ranked }) {
		t.Fatal("not sorted")
	}
	one := rapid.SampledFrom(append(slices.Clone(pods), &pod{}))
	for range pods {
		not := avoided{one.Draw(t, "not").ID, one.Draw(t, "nor").ID}
		best := -1
		for p, c := range count {
			if !not.has(p) && (best < 0 || c < best) {
				best = c
			}
		}
		roll := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "roll") }
		got := f.pick(roll, not)
		if (got == nil) != (best < 0) || got != nil && (not.has(got) || count[got] != best) {
			t.Fatalf("avoiding %q picked %v, want one with %d", not, got, best)
		}
	}
}

func TestWaitersInsertKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q waiters
		var model []*waiter
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				w := &waiter{since: time.Unix(int64(rapid.IntRange(0, 20).Draw(t, "since")), 0)}
				q.insert(w)
				i := 0
				for i < len(model) && !model[i].since.After(w.since) {
					i++
				}
				model = slices.Insert(model, i, w)
			},
			"remove": func(t *rapid.T) {
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
					q.remove(model[i])
					model = slices.Delete(model, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				var forth, back []*waiter
				for w := q.head; w != nil; w = w.next {
					forth = append(forth, w)
				}
				for w := q.tail; w != nil; w = w.prev {
					back = append(back, w)
				}
				slices.Reverse(back)
				if !slices.Equal(forth, model) || !slices.Equal(back, model) || q.n != len(model) {
					t.Fatalf("%d forth, %d back, %d counted, want %d", len(forth), len(back), q.n, len(model))
				}
			},
		})
	})
}

// Leaving from the middle of 10 000 does not walk the list.
func TestWaitersRemoveTouchesNeighboursOnly(t *testing.T) {
	var q waiters
	all := make([]*waiter, 10_000)
	for i := range all {
		all[i] = &waiter{}
		q.push(all[i])
	}
	mid := all[5000]
	links := func(w *waiter) [2]*waiter { return [2]*waiter{w.prev, w.next} }
	before, after := links(all[4998]), links(all[5002])
	q.remove(mid)
	if links(all[4998]) != before || links(all[5002]) != after {
		t.Error("a waiter beyond the neighbours was touched")
	}
	if all[4999].next != all[5001] || all[5001].prev != all[4999] || q.n != 9_999 {
		t.Error("the neighbours don't meet")
	}
}

func TestRetryAfter(t *testing.T) {
	start := time.Unix(1, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var d serviceRate
	expect := func(ms, waiting, seconds int) {
		t.Helper()
		if got := d.retryAfter(at(ms), waiting); got != time.Duration(seconds)*time.Second {
			t.Errorf("after %d ms with %d waiting: %v, want %d s", ms, waiting, got, seconds)
		}
	}
	expect(0, 1000, 1) // nothing is known
	d.begin(at(0))
	d.served(at(500), 1)
	expect(500, 9, 5)  // 2 a second, a new request is the tenth
	expect(500, 10, 6) // rounded up
	d.served(at(1000), 1)
	expect(1000, 9, 5) // the first measurement is closed and counts on
	expect(2000, 9, 10)
	expect(9000, 9, 45)
	expect(90_000, 9, 60)
	d.served(at(2000), 8)
	expect(2000, 9, 2)      // the two last: 8 in a second
	expect(3_600_000, 0, 1) // a quiet hour is no measurement
	d.begin(at(3_600_000))
	expect(3_600_000, 79, 10)
}

// A pod that has left and ended is forgotten with the next update.
func TestLeftPodsAreForgotten(t *testing.T) {
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := RevisionID{"default", "left"}
	th.SetRevision(id, RevisionConfig{})
	th.SetBackends(id, []Backend{{ID: "a", Own: true}})
	l, ok, _ := th.TryAcquire(Demand{Revision: id})
	if !ok {
		t.Fatal("no slot")
	}
	r := th.find(id)
	th.SetBackends(id, nil)
	if len(r.list.pods) != 1 || len(r.list.left) != 1 {
		t.Errorf("with a lease out: %d pods, %d left", len(r.list.pods), len(r.list.left))
	}
	l.Release(OK)
	th.PatchBackends(id, nil, nil)
	if len(r.list.pods) != 0 || len(r.list.left) != 0 {
		t.Errorf("after its end: %d pods, %d left", len(r.list.pods), len(r.list.left))
	}
}

// A slot that is passed on unused is no success of its pod.
func TestPassedOnIsNoSuccess(t *testing.T) {
	th, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	id := RevisionID{"default", "passed-on"}
	th.SetRevision(id, RevisionConfig{})
	th.SetBackends(id, []Backend{{ID: "a", Own: true}})
	l, _, _ := th.TryAcquire(Demand{Revision: id})
	r := th.find(id)
	r.list.pods["a"].backOff.ejected = 3
	r.passOn(l)
	if got := r.list.pods["a"].backOff.ejected; got != 3 {
		t.Errorf("%d failures are left", got)
	}
	l, _, _ = th.TryAcquire(Demand{Revision: id})
	l.Release(OK)
	if got := r.list.pods["a"].backOff.ejected; got != 0 {
		t.Errorf("%d failures are left after a success", got)
	}
}

func TestBackoffDoublesWithinBounds(t *testing.T) {
	most := func(int) int { return 0 }
	least := func(k int) int { return k - 1 }
	b := Backoff{}.or(defaultEject)
	for n, want := range []time.Duration{1: 100, 2: 200, 3: 400, 7: 6400, 8: 10_000, 255: 10_000} {
		if want *= time.Millisecond; want == 0 {
			continue
		}
		if got := b.after(uint8(n), most); got != want {
			t.Errorf("%d failures: at most %v, want %v", n, got, want)
		}
		if got := b.after(uint8(n), least); got != want*3/4 {
			t.Errorf("%d failures: at least %v, want %v", n, got, want*3/4)
		}
	}
}
