package metrics

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

type reported struct{ concurrency, count float64 }

// flatten checks what all of the activator's messages have in common.
func flatten(t interface{ Fatalf(string, ...any) }, m *statpb.WireStatMessages) map[RevisionKey]reported {
	out := map[RevisionKey]reported{}
	for _, w := range m.GetMessages() {
		key := RevisionKey{w.GetNamespace(), w.GetName()}
		if _, twice := out[key]; twice {
			t.Fatalf("%v is there twice", key)
		}
		s := w.GetStat()
		if s.GetPodName() != "activator-1" || s.GetProxiedRequestCount() != 0 || s.GetAverageProxiedConcurrentRequests() != 0 || s.GetTimestamp() != 0 {
			t.Fatalf("unexpected %v", s)
		}
		out[key] = reported{s.GetAverageConcurrentRequests(), s.GetRequestCount()}
	}
	return out
}

type firsts struct{ got []map[RevisionKey]reported }

func newTestRevisions(t interface{ Fatalf(string, ...any) }) (*Revisions, *firsts) {
	f := &firsts{}
	r, err := NewRevisions(RevisionsConfig{Pod: "activator-1", First: func(m *statpb.WireStatMessages) {
		f.got = append(f.got, flatten(t, m))
	}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return r, f
}

func TestFirstRequestIsToldAtOnceAndSubtracted(t *testing.T) {
	r, f := newTestRevisions(t)
	key, now := RevisionKey{"ns", "rev"}, epoch()
	first := r.Start(key, now)
	if len(f.got) != 1 || f.got[0][key] != (reported{1, 1}) {
		t.Fatalf("First: %v", f.got)
	}
	second := r.Start(key, now)
	if len(f.got) != 1 {
		t.Fatal("the second request was reported at once too")
	}
	steps := []struct {
		what   string
		before func()
		want   map[RevisionKey]reported
	}{
		{"2 in flight less the one reported at once", func() {}, map[RevisionKey]reported{key: {1, 1}}},
		{"nothing more to subtract", func() {}, map[RevisionKey]reported{key: {2, 0}}},
		{"still in flight, half the time", func() { second.End(now.Add(500 * time.Millisecond)) }, map[RevisionKey]reported{key: {1.5, 0}}},
		{"ended at the start of the period", func() { first.End(now) }, map[RevisionKey]reported{key: {0, 0}}},
		{"dropped", func() {}, map[RevisionKey]reported{}},
	}
	for _, s := range steps {
		s.before()
		now = now.Add(time.Second)
		if got := flatten(t, r.Report(now)); !maps.Equal(got, s.want) {
			t.Fatalf("%s: got %v, want %v", s.what, got, s.want)
		}
	}
	if r.Len() != 0 {
		t.Fatalf("%d revisions left", r.Len())
	}
	r.Start(key, now)
	if len(f.got) != 2 {
		t.Fatal("after the drop a request is a first one again")
	}
}

func TestSubtractionStopsAtZero(t *testing.T) {
	r, _ := newTestRevisions(t)
	key := RevisionKey{"ns", "rev"}
	r.Start(key, epoch()).End(epoch().Add(time.Millisecond))
	got := flatten(t, r.Report(epoch().Add(time.Second)))
	if got[key] != (reported{0, 0}) {
		t.Errorf("got %v", got)
	}
	// It had traffic, so the all-zero report is yet to come.
	if r.Len() != 1 {
		t.Error("dropped with the report of its own traffic")
	}
	if got := flatten(t, r.Report(epoch().Add(2*time.Second))); len(got) != 1 || got[key] != (reported{}) || r.Len() != 0 {
		t.Errorf("got %v, %d left", got, r.Len())
	}
	if m := r.Report(epoch().Add(3 * time.Second)); m != nil {
		t.Errorf("got %v from nothing", m)
	}
}

func TestObserveSeesWhatWasMeasured(t *testing.T) {
	seen := map[RevisionKey]float64{}
	r, err := NewRevisions(RevisionsConfig{
		Pod: "p", First: func(*statpb.WireStatMessages) {},
		Observe: func(k RevisionKey, m Report) { seen[k] = m.Concurrency },
	})
	if err != nil {
		t.Fatal(err)
	}
	key := RevisionKey{"ns", "rev"}
	r.Start(key, epoch())
	r.Report(epoch().Add(time.Second))
	if seen[key] != 1 {
		t.Errorf("observed %v", seen)
	}
}

// A request that comes between the all-zero report and the drop.
func TestRequestDuringReportIsNotDropped(t *testing.T) {
	var r *Revisions
	key, now := RevisionKey{"ns", "rev"}, epoch()
	var late *RevisionLoad
	r, err := NewRevisions(RevisionsConfig{Pod: "activator-1", Observe: func(_ RevisionKey, m Report) {
		if m.Requests == 0 && late == nil {
			late = r.Start(key, now)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.Start(key, now).End(now)
	for range 3 {
		now = now.Add(time.Second)
		r.Report(now)
	}
	if r.Len() != 1 || late.InFlight() != 1 {
		t.Fatalf("%d revisions, %d in flight", r.Len(), late.InFlight())
	}
	if got := flatten(t, r.Report(now.Add(time.Second))); got[key] != (reported{1, 0}) {
		t.Errorf("got %v", got)
	}
}

func TestRevisionsNeedAPod(t *testing.T) {
	if _, err := NewRevisions(RevisionsConfig{}); err == nil {
		t.Error("accepted")
	}
}

// What First and Report say adds up to the requests that came, whatever the order, and a
// revision is reported exactly while the contract says so.
func TestRevisionsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, f := newTestRevisions(t)
		now := epoch()
		type model struct {
			open    []*RevisionLoad
			arrived int // in this period
			early   int // reported by First in this period
		}
		known := map[RevisionKey]*model{}
		key := func(t *rapid.T) RevisionKey {
			return RevisionKey{"ns", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "revision")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				k := key(t)
				m, before := known[k], len(f.got)
				if m == nil {
					m = &model{early: 1}
					known[k] = m
				}
				m.open = append(m.open, r.Start(k, now))
				m.arrived++
				if len(f.got)-before != m.early && m.arrived == 1 {
					t.Fatalf("First was called %d times, want %d", len(f.got)-before, m.early)
				}
			},
			"end": func(t *rapid.T) {
				k := key(t)
				if m := known[k]; m == nil || len(m.open) == 0 {
					t.Skip("nothing in flight")
				}
				m := known[k]
				m.open[0].End(now)
				m.open = m.open[1:]
			},
			"report": func(t *rapid.T) {
				now = now.Add(time.Second)
				got := flatten(t, r.Report(now))
				if len(got) != len(known) {
					t.Fatalf("got %v, want %d revisions", got, len(known))
				}
				for k, m := range known {
					// Requests move at the start of a period alone, so the
					// average is what is in flight at its end.
					want := reported{max(float64(len(m.open)-m.early), 0), max(float64(m.arrived-m.early), 0)}
					if got[k] != want {
						t.Fatalf("%v: got %v, want %v", k, got[k], want)
					}
					if m.arrived == 0 && len(m.open) == 0 {
						delete(known, k)
					}
					m.arrived, m.early = 0, 0
				}
				if r.Len() != len(known) {
					t.Fatalf("%d known, want %d", r.Len(), len(known))
				}
			},
		})
	})
}

// No request is lost between Start and a Report that drops the revision.
func TestRevisionsUnderRace(t *testing.T) {
	const workers, each, keys = 6, 1500, 3
	var mu sync.Mutex
	var early float64
	r, err := NewRevisions(RevisionsConfig{Pod: "activator-1", First: func(m *statpb.WireStatMessages) {
		mu.Lock()
		early += m.Messages[0].Stat.RequestCount
		mu.Unlock()
	}, Observe: func(_ RevisionKey, m Report) {
		mu.Lock()
		early += m.Requests
		mu.Unlock()
	}})
	if err != nil {
		t.Fatal(err)
	}
	var total float64
	sum := func(m *statpb.WireStatMessages) {
		for _, w := range m.GetMessages() {
			total += w.Stat.RequestCount
		}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			sum(r.Report(time.Now()))
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				s := r.Start(RevisionKey{"ns", fmt.Sprint((w + i) % keys)}, time.Now())
				if s.InFlight() < 1 {
					t.Error("started and not in flight")
				}
				s.End(time.Now())
			}
		})
	}
	wg.Wait()
	close(stop)
	<-done
	sum(r.Report(time.Now()))
	sum(r.Report(time.Now().Add(time.Second)))
	// early holds what was measured plus what First reported; First's share is
	// subtracted from the reports, so total + firsts = measured.
	if measured := float64(workers * each); total+(early-measured) != measured || r.Len() != 0 {
		t.Errorf("reports %v and firsts %v, want %v together; %d left", total, early-measured, measured, r.Len())
	}
}

func TestRevisionsEndByKey(t *testing.T) {
	r, _ := newTestRevisions(t)
	key := RevisionKey{"ns", "rev"}
	s := r.Start(key, epoch())
	r.End(RevisionKey{"ns", "other"}, epoch())
	if s.InFlight() != 1 || s.Key() != key {
		t.Fatalf("%d in flight of %v", s.InFlight(), s.Key())
	}
	if r.End(key, epoch()); s.InFlight() != 0 {
		t.Error("still in flight")
	}
}

func BenchmarkRevisions(b *testing.B) {
	with := func(b *testing.B, n int) (*Revisions, []RevisionKey) {
		r, err := NewRevisions(RevisionsConfig{Pod: "activator-1"})
		if err != nil {
			b.Fatal(err)
		}
		keys := make([]RevisionKey, n)
		for i := range keys {
			keys[i] = RevisionKey{"namespace", fmt.Sprintf("revision-%05d", i)}
			r.Start(keys[i], epoch())
		}
		return r, keys
	}
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("start-end/%d", n), func(b *testing.B) {
			r, keys := with(b, n)
			now, i := epoch(), 0
			b.ReportAllocs()
			for b.Loop() {
				r.Start(keys[i], now).End(now)
				if i++; i == n {
					i = 0
				}
			}
		})
	}
	b.Run("start-end-parallel/1", func(b *testing.B) {
		r, keys := with(b, 1)
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for now := epoch(); p.Next(); {
				r.Start(keys[0], now).End(now)
			}
		})
	})
	b.Run("report/10000", func(b *testing.B) {
		r, _ := with(b, 10_000)
		now := epoch()
		b.ReportAllocs()
		for b.Loop() {
			now = now.Add(time.Second)
			if m := r.Report(now); len(m.Messages) != 10_000 {
				b.Fatal(len(m.Messages))
			}
		}
	})
}
