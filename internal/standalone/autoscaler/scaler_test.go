package autoscaler

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindowAgainstAllSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := time.Duration(rapid.IntRange(1, 30).Draw(t, "length")) * time.Second
		w := newWindow(length)
		all := map[int64][]float64{}
		now, first, last := epoch, second(epoch), second(epoch)
		for i := range rapid.IntRange(1, 80).Draw(t, "samples") {
			pause := rapid.SampledFrom([]int{4000, 4000, 4000, 60_000}).Draw(t, "longest pause")
			now = now.Add(time.Duration(rapid.IntRange(0, pause).Draw(t, "ms")) * time.Millisecond)
			v := rapid.Float64Range(0, 100).Draw(t, "v")
			w.record(now, v)
			all[second(now)] = append(all[second(now)], v)
			if i == 0 || second(now)-last >= int64(length/time.Second) {
				first = second(now) // begins afresh
			}
			last = second(now)
			ask := now.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "later")) * time.Millisecond)
			sum, n := 0.0, 0.0
			for s := max(second(ask)-int64(length/time.Second)+1, first); s <= last; s++ {
				n++
				part := 0.0
				for _, v := range all[s] {
					part += v / float64(len(all[s]))
				}
				sum += part
			}
			n = max(n, 1)
			got, ok := w.average(ask)
			if !ok || math.Abs(got-sum/n) > 1e-9 {
				t.Fatalf("%v, %v; want %v", got, ok, sum/n)
			}
		}
	})
}

func TestWindowWithoutSamples(t *testing.T) {
	if _, ok := newWindow(time.Minute).average(epoch); ok {
		t.Error("an empty window has an average")
	}
}

// run drives a scaler one second at a time: replicas follow each decision at once.
type run struct {
	*Scaler
	now   time.Time
	ready int
	busy  bool
}

func (r *run) seconds(n int, load float64) (last Decision) {
	for range n {
		r.now = r.now.Add(time.Second)
		r.Record(r.now, Sample{Concurrency: load, RPS: 10 * load})
		if second(r.now)%2 == 0 {
			last = r.Tick(r.now, Pods{Ready: r.ready, Busy: r.busy || load > 0, Reachable: true})
			r.ready = last.Desired
		}
	}
	return r.Last()
}

func newRun(s Spec) *run { return &run{Scaler: New(s, epoch), now: epoch} }

func TestScaleToZeroTakesWindowAndGrace(t *testing.T) {
	for _, c := range []struct {
		name  string
		notes []Annotation
		want  int // seconds
	}{
		{"defaults", nil, 90},
		{"window", []Annotation{{Prefix + "window", "10s"}}, 40},
		{"retention beyond the grace", []Annotation{{Prefix + "scale-to-zero-pod-retention-period", "1m"}}, 120},
		{"retention within the grace", []Annotation{{Prefix + "scale-to-zero-pod-retention-period", "10s"}}, 90},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRun(testSpec(t, 0, c.notes...))
			if d := r.seconds(2, 1); d.Desired != 1 {
				t.Fatalf("with a request: %+v", d)
			}
			idle := 0
			for ; r.ready > 0 && idle < 300; idle++ {
				r.seconds(1, 0)
			}
			if idle < c.want || idle > c.want+6 { // ticks come every two seconds
				t.Errorf("gone after %d s, want %d", idle, c.want)
			}
		})
	}
}

func TestLastReplicaStaysWhileBusy(t *testing.T) {
	r := newRun(testSpec(t, 0))
	r.seconds(2, 1)
	r.busy = true
	if r.seconds(1000, 0); r.ready != 1 {
		t.Fatalf("%d replicas with a request in flight", r.ready)
	}
	r.busy = false
	if r.seconds(2, 0); r.ready != 0 {
		t.Errorf("%d replicas after it ended", r.ready)
	}
}

func TestWaitingRequestNeedsNoSample(t *testing.T) {
	s := New(testSpec(t, 0), epoch)
	if d := s.Tick(epoch, Pods{Busy: true, Reachable: true}); d.Desired != 1 {
		t.Errorf("%+v", d)
	}
}

// Its replica used to end as soon as it had been served, if a tick came between the request and its first sample.
func TestReplicaOfAServedRequestStaysForAStableWindow(t *testing.T) {
	s := New(testSpec(t, 0), epoch)
	s.Tick(epoch, Pods{Busy: true, Reachable: true})
	if d := s.Tick(epoch.Add(time.Second), Pods{Ready: 1, Reachable: true}); d.Desired != 1 {
		t.Errorf("%+v", d)
	}
}

func TestInitialScaleStaysForAStableWindow(t *testing.T) {
	r := newRun(testSpec(t, 0, Annotation{Prefix + "initial-scale", "3"}))
	if r.Last().Desired != 3 {
		t.Fatalf("begins with %d", r.Last().Desired)
	}
	r.ready = 2
	if d := r.Tick(r.now, Pods{Ready: 2, Reachable: true}); d.Desired != 3 {
		t.Fatalf("not reached yet: %+v", d)
	}
	r.ready = 3
	if d := r.seconds(20, 0); d.Desired != 1 {
		t.Fatalf("reached, no load: %+v", d)
	}
	if d := r.seconds(30, 0); d.Desired != 1 {
		t.Errorf("within the stable window: %+v", d)
	}
	if d := r.seconds(60, 0); d.Desired != 0 {
		t.Errorf("after window and grace: %+v", d)
	}
}

// The bounds as Knative's documentation of "Configuring scale bounds" and its scaler have them: min and initial scale
// raise, max lowers; the initial scale counts until it has been reached once, and then never again; without a route
// there is no min; activation scale counts from the first request on, and max beats it.
func TestScaleBounds(t *testing.T) {
	for _, c := range []struct {
		notes     string
		ready     []int // at each of the ticks, two seconds apart
		load      float64
		reachable bool
		want      int // at the last one
	}{
		{"min-scale=2", []int{0}, 0, true, 2},
		{"min-scale=2", []int{0, 0}, 0, false, 0},
		{"max-scale=3", []int{1, 3}, 700, true, 3},
		{"min-scale=4 initial-scale=2", []int{0}, 0, true, 4},
		{"initial-scale=3", []int{0, 2}, 0, true, 3},
		{"initial-scale=3", []int{0, 3}, 0, true, 1},
		{"initial-scale=3", []int{0, 3, 1}, 0, true, 1},
		{"initial-scale=3", []int{0, 2}, 0, false, 3},
		{"initial-scale=3 max-scale=2", []int{0, 1}, 0, true, 2},
		{"initial-scale=3 max-scale=2", []int{0, 2}, 0, true, 1},
		{"activation-scale=5", []int{0}, 1, true, 5},
		{"activation-scale=5", []int{0}, 0, true, 0},
		{"activation-scale=5 max-scale=2", []int{0}, 1, true, 2},
	} {
		var notes []Annotation
		for _, note := range strings.Fields(c.notes) {
			name, value, _ := strings.Cut(note, "=")
			notes = append(notes, Annotation{Prefix + name, value})
		}
		s := New(testSpec(t, 0, notes...), epoch)
		for i, ready := range c.ready {
			now := at(float64(2 * i))
			s.Record(now, Sample{Concurrency: c.load})
			s.Tick(now, Pods{Ready: ready, Reachable: c.reachable, Busy: c.load > 0})
		}
		if got := s.Last().Desired; got != c.want {
			t.Errorf("%s, ready %v, load %v: %d, want %d", c.notes, c.ready, c.load, got, c.want)
		}
	}
}

func TestMinScaleNeedsARoute(t *testing.T) {
	s := New(testSpec(t, 0, Annotation{Prefix + "minScale", "2"}), epoch)
	if d := s.Tick(epoch, Pods{Reachable: true}); d.Desired != 2 {
		t.Errorf("reachable: %+v", d)
	}
	for i := range 200 {
		s.Tick(at(float64(i)), Pods{Ready: 2})
	}
	if d := s.Last(); d.Desired != 0 {
		t.Errorf("not reachable: %+v", d)
	}
}

func TestRPSMetric(t *testing.T) {
	r := newRun(testSpec(t, 1, Annotation{Prefix + "metric", "rps"}, Annotation{Prefix + "target", "50"}))
	if d := r.seconds(10, 14); d.Desired != 4 { // 140 requests per second, 35 each
		t.Errorf("%+v", d)
	}
}

// 42/0.7 is a little above 60, as are averages of loads.
func TestRoundingAddsNoReplica(t *testing.T) {
	for load, want := range map[float64]int{42: 60, 21: 30, 6.3: 9, 42.001: 61, 1e-12: 1} {
		r := newRun(testSpec(t, 1))
		if r.seconds(200, load); r.ready != want {
			t.Errorf("%d replicas for a load of %v, want %d", r.ready, load, want)
		}
	}
}

func TestSteadyLoadSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := Parse(Standard(), rapid.IntRange(0, 20).Draw(t, "limit"), nil)
		if err != nil {
			t.Fatal(err)
		}
		load := rapid.Float64Range(0.01, 500).Draw(t, "load")
		r := newRun(s)
		r.seconds(200, load)
		if want := int(math.Ceil(load / s.Target * (1 - rounding))); r.ready != want {
			t.Fatalf("%d replicas, want %d for load %v at target %v", r.ready, want, load, s.Target)
		}
	})
}

func TestScalerKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := Parse(Standard(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.StableWindow = time.Duration(rapid.IntRange(6, 20).Draw(t, "window")) * time.Second
		s.Grace = time.Duration(rapid.IntRange(0, 20).Draw(t, "grace")) * time.Second
		s.Min, s.Max = rapid.IntRange(0, 2).Draw(t, "min"), rapid.IntRange(2, 9).Draw(t, "max")
		r, lastLoad := newRun(s), time.Time{}
		for range rapid.IntRange(1, 30).Draw(t, "phases") {
			load := rapid.SampledFrom([]float64{0, 0, 0.2, 3, 40}).Draw(t, "load")
			r.busy = rapid.Bool().Draw(t, "busy")
			for range rapid.IntRange(1, 30).Draw(t, "seconds") {
				d := r.seconds(1, load)
				if load > 0 {
					lastLoad = r.now
				}
				if second(r.now)%2 != 0 {
					continue // no decision in this second
				}
				recent := !lastLoad.IsZero() && r.now.Sub(lastLoad) < s.StableWindow-time.Second
				switch {
				case d.Desired < s.Min || d.Desired > s.Max:
					t.Fatalf("%d is out of bounds", d.Desired)
				case d.Desired == 0 && (r.busy || recent):
					t.Fatalf("none, busy %v, last load %v ago", r.busy, r.now.Sub(lastLoad))
				case d.Desired > s.Min && d.Desired > 1 && r.now.Sub(lastLoad) > 3*s.StableWindow:
					t.Fatalf("%d long after the last load", d.Desired)
				}
			}
		}
	})
}

// After a while at zero, where nothing is recorded, a burst counts in full at once.
func TestBurstAfterALongPause(t *testing.T) {
	s := New(testSpec(t, 1), epoch)
	s.Record(at(1), Sample{Concurrency: 1})
	s.Tick(at(1), Pods{Reachable: true})
	s.Record(at(500), Sample{Concurrency: 70})
	if d := s.Tick(at(500), Pods{Reachable: true}); d.Desired != 100 {
		t.Errorf("%+v", d)
	}
}

// A revision went to zero, and then ten requests a replica can't share come at once: the panic window averaged them over
// the pause too, so that two replicas were started where Knative starts all.
func TestQ6BurstAfterScaleToZeroCountsInFull(t *testing.T) {
	for pause := 6; pause < 60; pause += 7 {
		s := testSpec(t, 1, Annotation{Prefix + "target-utilization-percentage", "100"})
		r := newRun(s)
		r.seconds(4, 1)
		r.now = r.now.Add(time.Duration(pause) * time.Second) // at zero nothing is recorded
		r.ready = 0
		if d := r.seconds(2, 10); d.Desired != 10 || !d.Panicking {
			t.Errorf("%d s after: %+v", pause, d)
		}
	}
}

func TestQ5MaxScaleBoundsInitialScale(t *testing.T) {
	s := New(testSpec(t, 0, Annotation{Prefix + "initial-scale", "5"}, Annotation{Prefix + "max-scale", "2"}), epoch)
	if d := s.Last(); d.Desired != 2 {
		t.Errorf("begins with %d replicas", d.Desired)
	}
	for i := range 10 {
		if d := s.Tick(at(float64(2*i)), Pods{Ready: min(i, 2), Reachable: true}); d.Desired > 2 || i < 2 && d.Desired < 2 {
			t.Errorf("tick %d: %d replicas", i, d.Desired)
		}
	}
}
