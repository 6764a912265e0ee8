package throttler_test

import (
	"context"
	"testing"

	"github.com/sluice-proxy/sluice/throttler"
)

func TestNoAllocationsWithAFreeSlot(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := throttler.NewBreaker(1, 1)
	check := func(name string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	check("Breaker.TryAcquire", func() {
		if b.TryAcquire() {
			b.Release()
		}
	})
	check("Breaker.Acquire", func() {
		if b.Acquire(ctx) == nil {
			b.Release()
		}
	})
	for _, slots := range []int{0, 1, 10} {
		th, d := withPods(t, 100, slots)
		keyed := d
		keyed.Key, keyed.Turn = throttler.Key("cart-17"), new(throttler.Turn)
		check("Throttler.TryAcquire in turn", func() {
			if l, ok, _ := th.TryAcquire(keyed); ok {
				l.Release(throttler.OK)
				keyed.Turn.End()
			}
		})
		check("Throttler.TryAcquire", func() {
			if l, ok, _ := th.TryAcquire(d); ok {
				l.Release(throttler.OK)
			}
		})
		check("Throttler.Acquire", func() {
			if l, err := th.Acquire(ctx, d); err == nil {
				l.Release(throttler.OK)
			}
		})
	}
}
