package throttler_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/sluice-proxy/sluice/throttler"
)

func podList(n, slots int) []throttler.Backend {
	all := make([]throttler.Backend, n)
	for i := range all {
		all[i] = throttler.Backend{
			ID: fmt.Sprintf("uid-%05d", i), Addr: fmt.Sprintf("10.0.%d.%d:8012", i/256, i%256), Slots: slots, Own: true,
		}
	}
	return all
}

func revisionID(i int) throttler.RevisionID {
	return throttler.RevisionID{Namespace: "default", Name: fmt.Sprintf("revision-%05d", i)}
}

func newThrottler(tb testing.TB) *throttler.Throttler {
	tb.Helper()
	t, err := throttler.New(throttler.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func withPods(tb testing.TB, pods, slots int) (*throttler.Throttler, throttler.Demand) {
	tb.Helper()
	t := newThrottler(tb)
	t.SetRevision(revisionID(0), throttler.RevisionConfig{})
	t.SetBackends(revisionID(0), podList(pods, slots))
	return t, throttler.Demand{Revision: revisionID(0)}
}

func BenchmarkBreakerFreeSlot(b *testing.B) {
	br := throttler.NewBreaker(100, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if !br.TryAcquire() {
			b.Fatal("no slot")
		}
		br.Release()
	}
}

func BenchmarkBreakerContended(b *testing.B) {
	br := throttler.NewBreaker(1_000_000, 0)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if br.TryAcquire() {
				br.Release()
			}
		}
	})
}

// Saturated: every slot is handed from one waiter to the next.
func BenchmarkBreakerSaturated(b *testing.B) {
	br := throttler.NewBreaker(4, 1000)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := br.Acquire(context.Background()); err != nil {
				b.Error(err)
				return
			}
			br.Release()
		}
	})
}

// FreeSlot for each pick (slots 0: fewest in flight; 1: first available; 10: round robin) and number of pods.
func BenchmarkThrottlerFreeSlot(b *testing.B) {
	for _, slots := range []int{0, 1, 10} {
		for _, pods := range []int{1, 100, 10_000} {
			b.Run(fmt.Sprintf("slots=%d/pods=%d", slots, pods), func(b *testing.B) {
				t, d := withPods(b, pods, slots)
				b.ReportAllocs()
				for b.Loop() {
					l, ok, err := t.TryAcquire(d)
					if !ok {
						b.Fatal(err)
					}
					l.Release(throttler.OK)
				}
			})
		}
	}
}

// Loaded holds half of all slots, so that the structures are in the middle of their range.
func BenchmarkThrottlerLoaded(b *testing.B) {
	for _, slots := range []int{0, 1, 10} {
		for _, pods := range []int{2, 100, 10_000} {
			b.Run(fmt.Sprintf("slots=%d/pods=%d", slots, pods), func(b *testing.B) {
				t, d := withPods(b, pods, slots)
				held := make([]throttler.Lease, max(slots, 4)*pods/2)
				for i := range held {
					held[i], _, _ = t.TryAcquire(d)
				}
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					held[i].Release(throttler.OK)
					held[i], _, _ = t.TryAcquire(d)
					i = (i + 1) % len(held)
				}
			})
		}
	}
}

func BenchmarkThrottlerAcquire(b *testing.B) {
	t, d := withPods(b, 100, 10)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		l, err := t.Acquire(ctx, d)
		if err != nil {
			b.Fatal(err)
		}
		l.Release(throttler.OK)
	}
}

func BenchmarkThrottlerContended(b *testing.B) {
	t, d := withPods(b, 100, 10_000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if l, ok, _ := t.TryAcquire(d); ok {
				l.Release(throttler.OK)
			}
		}
	})
}

func BenchmarkThrottlerSaturated(b *testing.B) {
	t, d := withPods(b, 4, 1)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := t.Acquire(context.Background(), d)
			if err != nil {
				b.Error(err)
				return
			}
			l.Release(throttler.OK)
		}
	})
}

func BenchmarkThrottlerRevisions(b *testing.B) {
	const revisions = 10_000
	t := newThrottler(b)
	demands := make([]throttler.Demand, revisions)
	for i := range demands {
		demands[i].Revision = revisionID(i)
		t.SetRevision(revisionID(i), throttler.RevisionConfig{})
		t.SetBackends(revisionID(i), podList(2, 10))
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		l, ok, err := t.TryAcquire(demands[i])
		if !ok {
			b.Fatal(err)
		}
		l.Release(throttler.OK)
		i = (i + 7919) % revisions
	}
}

// One pod among 1000 turns draining and back.
func BenchmarkThrottlerUpdateOne(b *testing.B) {
	flapped := [2]throttler.State{throttler.Draining, throttler.Ready}
	for _, slots := range []int{0, 10} {
		b.Run(fmt.Sprintf("set/slots=%d", slots), func(b *testing.B) {
			t, d := withPods(b, 1000, slots)
			all, i := podList(1000, slots), 0
			b.ReportAllocs()
			for b.Loop() {
				all[500].State = flapped[i%2]
				t.SetBackends(d.Revision, all)
				i++
			}
		})
		b.Run(fmt.Sprintf("patch/slots=%d", slots), func(b *testing.B) {
			t, d := withPods(b, 1000, slots)
			one, i := podList(1000, slots)[500:501], 0
			b.ReportAllocs()
			for b.Loop() {
				one[0].State = flapped[i%2]
				t.PatchBackends(d.Revision, one, nil)
				i++
			}
		})
	}
}

// All 10 000 pods come and go at once: the worst that an update can do.
func BenchmarkThrottlerReplaceAll(b *testing.B) {
	t, d := withPods(b, 0, 1)
	all := podList(10_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		t.SetBackends(d.Revision, all)
		t.SetBackends(d.Revision, nil)
	}
}

// One of many waiters gives up and another comes; the cost of its goroutine and context is in it.
func BenchmarkCancelOneWaiter(b *testing.B) {
	for _, others := range []int{1, 9_999} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			t, d := withPods(b, 0, 0)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			wait := func(ctx context.Context) {
				_, _ = t.Acquire(ctx, d)
				done <- struct{}{}
			}
			for range others {
				go wait(ctx)
			}
			waiting := func(n int) {
				for t.Totals().Waiting != n {
					runtime.Gosched()
				}
			}
			waiting(others)
			b.ReportAllocs()
			for b.Loop() {
				one, giveUp := context.WithCancel(context.Background())
				go wait(one)
				waiting(others + 1)
				giveUp()
				<-done
			}
			cancel()
			for range others {
				<-done
			}
		})
	}
}
