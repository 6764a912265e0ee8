package metrics

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func epoch() time.Time { return time.Unix(1_700_000_000, 0) }

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

func TestConcurrencyWeighsByTime(t *testing.T) {
	at := func(ms int) time.Time { return epoch().Add(time.Duration(ms) * time.Millisecond) }
	c := NewConcurrency(at(0))
	c.Start(at(0), false)
	c.Start(at(250), true)
	c.Start(at(500), true)
	c.End(at(500), false)
	c.End(at(750), true)
	// All: 1, 2, 2, 1 in the four quarters. Proxied: 0, 1, 2, 1.
	got := c.Report(at(1000))
	want := Report{Concurrency: 1.5, ProxiedConcurrency: 1, Requests: 3, ProxiedRequests: 2, Elapsed: time.Second}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = c.Report(at(3000))
	want = Report{Concurrency: 1, ProxiedConcurrency: 1, Elapsed: 2 * time.Second}
	if got != want {
		t.Errorf("second period: got %+v, want %+v", got, want)
	}
	if c.InFlight() != 1 {
		t.Errorf("%d in flight, want 1", c.InFlight())
	}
}

// The model keeps every request's life and integrates by brute force.
func TestConcurrencyAgainstModel(t *testing.T) {
	type life struct {
		from, to time.Duration
		ended    bool
		proxied  bool
	}
	rapid.Check(t, func(t *rapid.T) {
		c := NewConcurrency(epoch())
		var lives []*life
		var open []*life
		var now, latest, began time.Duration
		var requests, proxied float64
		tick := func() time.Time {
			now += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "step"))
			// Two callers may have read the clock in the other order.
			seen := max(0, now-time.Duration(rapid.Int64Range(0, 1000).Draw(t, "late")))
			latest = max(latest, seen)
			return epoch().Add(seen)
		}
		area := func(onlyProxied bool) (sum float64) {
			for _, l := range lives {
				to := latest
				if l.ended {
					to = l.to
				}
				if d := min(to, latest) - max(l.from, began); d > 0 && (l.proxied || !onlyProxied) {
					sum += float64(d)
				}
			}
			return sum
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				at := tick()
				l := &life{from: latest, proxied: rapid.Bool().Draw(t, "proxied")}
				lives, open = append(lives, l), append(open, l)
				requests++
				if l.proxied {
					proxied++
				}
				c.Start(at, l.proxied)
			},
			"end": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nothing is in flight")
				}
				at := tick()
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				l := open[i]
				open = slices.Delete(open, i, i+1)
				l.to, l.ended = latest, true
				c.End(at, l.proxied)
			},
			"report": func(t *rapid.T) {
				now += time.Millisecond
				now = max(now, latest)
				latest = now
				r := c.Report(epoch().Add(now))
				elapsed := float64(now - began)
				if elapsed == 0 {
					return
				}
				if !near(r.Concurrency, area(false)/elapsed) || !near(r.ProxiedConcurrency, area(true)/elapsed) {
					t.Fatalf("got %+v, want %v and %v", r, area(false)/elapsed, area(true)/elapsed)
				}
				if r.Requests != requests || r.ProxiedRequests != proxied || r.Elapsed != now-began {
					t.Fatalf("got %+v, want %v and %v in %v", r, requests, proxied, now-began)
				}
				began, requests, proxied = now, 0, 0
			},
			"": func(t *rapid.T) {
				if c.InFlight() != len(open) {
					t.Fatalf("%d in flight, want %d", c.InFlight(), len(open))
				}
			},
		})
	})
}

func TestTimeThatDoesNotAdvance(t *testing.T) {
	c := NewConcurrency(epoch())
	c.Start(epoch(), true)
	c.Start(epoch().Add(-time.Hour), false)
	for _, back := range []time.Duration{0, time.Hour, 0, 2 * time.Hour} {
		r := c.Report(epoch().Add(-back))
		if r.Concurrency != 2 || r.ProxiedConcurrency != 1 || r.Elapsed != 0 && back != 0 {
			t.Errorf("%v back: %+v", back, r)
		}
		for _, v := range []float64{r.rates().Requests, r.rates().ProxiedRequests, r.Stat("p", 0, epoch()).GetRequestCount()} {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				t.Errorf("%v back: rate %v", back, v)
			}
		}
	}
	// After a step back the clock counts again from there, not from the
	// instant it had reached before.
	if r := c.Report(epoch().Add(-2*time.Hour + time.Second)); r.Elapsed != time.Second || r.Concurrency != 2 {
		t.Errorf("a second after the step: %+v", r)
	}
}

func TestEndWithoutStartIsIgnored(t *testing.T) {
	c := NewConcurrency(epoch())
	c.End(epoch(), true)
	c.Start(epoch(), false)
	if r := c.Report(epoch().Add(time.Second)); r.Concurrency != 1 || r.ProxiedConcurrency != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestStatHasRates(t *testing.T) {
	m := Report{Concurrency: 3, ProxiedConcurrency: 2, Requests: 10, ProxiedRequests: 5, Elapsed: 2 * time.Second}.
		Stat("pod", 90*time.Second, epoch())
	if m.GetPodName() != "pod" || m.GetAverageConcurrentRequests() != 3 || m.GetAverageProxiedConcurrentRequests() != 2 ||
		m.GetRequestCount() != 5 || m.GetProxiedRequestCount() != 2.5 || m.GetProcessUptime() != 90 || m.GetTimestamp() != epoch().Unix() {
		t.Errorf("got %v", m)
	}
}

func TestConcurrencyUnderRace(t *testing.T) {
	const workers, each = 8, 2000
	c := NewConcurrency(time.Now())
	var got float64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			r := c.Report(time.Now())
			if r.Concurrency < 0 || r.Concurrency > workers+1e-9 || r.ProxiedConcurrency > r.Concurrency+1e-9 {
				t.Errorf("impossible: %+v", r)
			}
			got += r.Requests
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
			for range each {
				c.Start(time.Now(), w%2 == 0)
				c.End(time.Now(), w%2 == 0)
			}
		})
	}
	wg.Wait()
	close(stop)
	<-done
	got += c.Report(time.Now()).Requests
	if got != workers*each || c.InFlight() != 0 {
		t.Errorf("%v requests, %d in flight; want %d and 0", got, c.InFlight(), workers*each)
	}
}

func TestAccountingDoesNotAllocate(t *testing.T) {
	c := NewConcurrency(epoch())
	r, err := NewRevisions(RevisionsConfig{Pod: "p"})
	if err != nil {
		t.Fatal(err)
	}
	key := RevisionKey{"ns", "rev"}
	r.Start(key, epoch())
	for name, f := range map[string]func(){
		"Concurrency": func() { c.Start(epoch(), true); c.End(epoch(), true) },
		"Report":      func() { c.Report(epoch()) },
		"Revisions":   func() { r.Start(key, epoch()).End(epoch()) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// The clock is read outside: callers have read it for their timeouts.
func BenchmarkConcurrency(b *testing.B) {
	b.Run("start-end", func(b *testing.B) {
		c, now := NewConcurrency(time.Now()), time.Now()
		b.ReportAllocs()
		for b.Loop() {
			now = now.Add(time.Microsecond)
			c.Start(now, true)
			c.End(now, true)
		}
	})
	b.Run("start-end-parallel", func(b *testing.B) {
		c := NewConcurrency(time.Now())
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			now := time.Now()
			for p.Next() {
				now = now.Add(time.Microsecond)
				c.Start(now, true)
				c.End(now, true)
			}
		})
	})
}
