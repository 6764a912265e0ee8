package autoscaler

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

func testSpec(t testing.TB, limit int, annotations ...Annotation) Spec {
	t.Helper()
	s, err := Parse(Standard(), limit, annotations)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// step is one Decide and what should come of it.
type step struct {
	at            float64
	ready         int
	stable, panic float64
	want          int
	panicking     bool
}

func TestDecide(t *testing.T) {
	note := func(name, value string) Annotation { return Annotation{Prefix + name, value} }
	for _, c := range []struct {
		name  string
		spec  Spec
		steps []step
	}{
		{"no load", testSpec(t, 0), []step{{0, 1, 0, 0, 0, false}}},
		{"a little load takes one", testSpec(t, 0), []step{{0, 0, 0.01, 0.01, 1, false}}},
		{"70 percent of 100 fill one", testSpec(t, 0), []step{{0, 1, 70, 70, 1, false}, {2, 1, 71, 71, 2, true}}},
		{"70 percent of the limit", testSpec(t, 10), []step{{0, 5, 35, 35, 5, false}, {2, 5, 36, 36, 6, false}}},
		{"limit 1: two for one request", testSpec(t, 1), []step{{0, 0, 1, 1, 2, true}}},
		{"target below the limit", testSpec(t, 10, note("target", "5"), note("target-utilization-percentage", "100")), []step{{0, 3, 15, 15, 3, false}}},
		{"target above the limit", testSpec(t, 10, note("target", "50"), note("target-utilization-percentage", "100")), []step{{0, 3, 30, 30, 3, false}}},
		{"half may go in one step", testSpec(t, 0), []step{{0, 8, 1, 1, 4, false}, {2, 4, 1, 1, 2, false}, {4, 2, 1, 1, 1, false}, {6, 1, 0, 0, 0, false}}},
		{"odd numbers round down", testSpec(t, 0), []step{{0, 7, 0, 0, 3, false}, {2, 3, 0, 0, 1, false}}},
		{"the rate up", func() Spec { s := testSpec(t, 0); s.MaxScaleUpRate = 1.5; return s }(), []step{{0, 4, 700, 140, 6, false}, {2, 6, 700, 140, 9, false}}},
		{"the rate up from zero", func() Spec { s := testSpec(t, 0); s.MaxScaleUpRate = 3; return s }(), []step{{0, 0, 7000, 70, 3, false}}},
		{
			"panic holds the most, and ends a stable window after", testSpec(t, 0),
			[]step{
				{0, 1, 10, 10, 1, false},
				{2, 1, 20, 140, 2, true},   // 2 / 1 is the threshold
				{4, 2, 60, 700, 10, true},  // more
				{6, 10, 90, 100, 10, true}, // less: kept
				{62, 10, 90, 100, 10, true},
				{64, 10, 90, 100, 10, true}, // 60 s since the last crossing: not over 60
				{66, 10, 90, 100, 5, false},
				{68, 5, 90, 100, 2, false},
			},
		},
		{
			"crossing again prolongs panic", testSpec(t, 0),
			[]step{{0, 1, 0, 140, 2, true}, {50, 1, 0, 140, 2, true}, {100, 2, 10, 10, 2, true}, {111, 2, 10, 10, 1, false}},
		},
		{"stable above panic counts in panic too", testSpec(t, 0), []step{{0, 1, 350, 140, 5, true}}},
		{"a threshold of its own", testSpec(t, 0, note("panic-threshold-percentage", "1000")), []step{{0, 1, 0, 630, 0, false}, {2, 1, 0, 700, 10, true}}},
		{"activation scale only with load", testSpec(t, 0, note("activation-scale", "5")), []step{{0, 0, 1, 1, 5, false}, {2, 5, 1, 1, 5, false}, {4, 5, 0, 0, 2, false}, {6, 2, 0, 0, 1, false}}},
		{
			"delay keeps the most of its time", testSpec(t, 0, note("scale-down-delay", "10s")),
			[]step{{0, 4, 280, 280, 4, false}, {4, 4, 210, 210, 3 + 1, false}, {9.9, 4, 140, 140, 4, false}, {10, 4, 140, 140, 3, false}, {14, 4, 140, 140, 2, false}, {15, 4, 280, 280, 4, false}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDecider(c.spec)
			for i, s := range c.steps {
				if got := d.Decide(at(s.at), s.ready, s.stable, s.panic, true); got != s.want || d.Panicking() != s.panicking {
					t.Errorf("step %d at %v s: %d, panicking %v; want %d, %v", i, s.at, got, d.Panicking(), s.want, s.panicking)
				}
			}
		})
	}
}

func TestDecideUnreachableGoesAtOnce(t *testing.T) {
	if got := NewDecider(testSpec(t, 0)).Decide(epoch, 20, 0, 0, false); got != 0 {
		t.Errorf("got %d, want 0", got)
	}
}

func TestDecideSurvivesAnyLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := NewDecider(testSpecRapid(t))
		if got := d.Decide(epoch, rapid.IntRange(-1, 1<<30).Draw(t, "ready"), rapid.Float64().Draw(t, "stable"), rapid.Float64().Draw(t, "panic"), true); got < 0 {
			t.Fatalf("%d replicas", got)
		}
	})
}

func TestDecideStaysWithinRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := testSpecRapid(t)
		d := NewDecider(spec)
		now, last, wasPanicking := epoch, 0, false
		var history []wanted // what a decider without delay said, for the naive maximum
		bare := NewDecider(withoutDelay(spec))
		for range rapid.IntRange(1, 60).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
			ready := rapid.IntRange(0, 100).Draw(t, "ready")
			stable := rapid.Float64Range(0, 5000).Draw(t, "stable")
			burst := rapid.Float64Range(0, 5000).Draw(t, "panic")
			got, plain := d.Decide(now, ready, stable, burst, true), bare.Decide(now, ready, stable, burst, true)
			base := float64(max(ready, 1))
			if !bare.Panicking() && spec.Activation == 1 && (float64(plain) > base*spec.MaxScaleUpRate+1 || float64(plain) < base/spec.MaxScaleDownRate-1) {
				t.Fatalf("%d replicas, %d were ready", plain, ready)
			}
			if bare.Panicking() && wasPanicking && plain < last {
				t.Fatalf("%d → %d in panic", last, plain)
			}
			last, wasPanicking = plain, bare.Panicking()
			history = append(history, wanted{now, plain})
			most := 0
			for _, h := range history {
				if now.Sub(h.at) < spec.ScaleDownDelay || h.at.Equal(now) {
					most = max(most, h.replicas)
				}
			}
			if got != most {
				t.Fatalf("%d with the delay, want %d", got, most)
			}
		}
	})
}

func testSpecRapid(t *rapid.T) Spec {
	s, err := Parse(Standard(), rapid.IntRange(0, 20).Draw(t, "limit"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.MaxScaleUpRate = rapid.Float64Range(1.1, 20).Draw(t, "up")
	s.MaxScaleDownRate = rapid.Float64Range(1.1, 20).Draw(t, "down")
	s.Activation = rapid.IntRange(1, 4).Draw(t, "activation")
	s.ScaleDownDelay = time.Duration(rapid.IntRange(0, 60).Draw(t, "delay")) * time.Second
	return s
}

func withoutDelay(s Spec) Spec {
	s.ScaleDownDelay = 0
	return s
}
