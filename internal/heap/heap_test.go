package heap

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

const mib = 1 << 20

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live, slack uint64
		want        int
	}{
		{0, 8 * mib, 200},          // 8 MiB: Go's own minimum is in proportion
		{1 * mib, 8 * mib, 225},    // 9 MiB
		{4 * mib, 8 * mib, 200},    // 12 MiB
		{8 * mib, 8 * mib, 100},    // as ever from here on
		{1000 * mib, 8 * mib, 100}, //
		{mib, 0, 100},
	} {
		if got := percent(c.live, 0, c.slack); got != c.want {
			t.Errorf("%d MiB live, slack of %d MiB: %d, want %d", c.live/mib, c.slack/mib, got, c.want)
		}
		goal := c.live + max(c.live, c.slack)
		if p := uint64(percent(c.live, 0, c.slack)); c.slack > 0 && max(c.live+c.live*p/100, minimum*p/100) > max(goal, minimum) {
			t.Errorf("%d MiB live, slack of %d MiB: the heap grows beyond %d MiB", c.live/mib, c.slack/mib, goal/mib)
		}
	}
}

var sink []byte

// collections of what makes 100 MiB of garbage, and the largest heap meanwhile.
func collections(t *testing.T) (n uint32, largest uint64) {
	t.Helper()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 100 * 64 {
		sink = make([]byte, mib/64)
		if i%16 == 0 {
			runtime.ReadMemStats(&now)
			largest = max(largest, now.HeapAlloc)
		}
	}
	runtime.ReadMemStats(&now)
	return now.NumGC - before.NumGC, largest
}

func TestSlackSparesCollectionsOfASmallHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	runtime.GC()
	usually, _ := collections(t)
	stop := Slack(16 * mib)
	defer stop()
	runtime.GC()
	settled(t, func(p int) bool { return p > usual })
	n, largest := collections(t)
	if n > usually/2 {
		t.Errorf("%d collections, and %d without", n, usually)
	}
	if n == 0 || largest > 24*mib {
		t.Errorf("%d collections of 100 MiB of garbage, and a heap of %d MiB", n, largest/mib)
	}
	large := make([]byte, 64*mib)
	runtime.GC()
	settled(t, func(p int) bool { return p == usual })
	runtime.KeepAlive(large)
}

// settled waits until GOGC is as it should be after a collection.
func settled(t *testing.T, ok func(percent int) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		p := debug.SetGCPercent(usual)
		debug.SetGCPercent(p)
		if ok(p) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("GOGC is %d", p)
		}
	}
}

// deep uses n KiB of its goroutine's stack until it may end.
func deep(n int, stop <-chan struct{}, ready *sync.WaitGroup) int {
	var room [1 << 10]byte
	room[n] = byte(n)
	if n > 0 {
		n = deep(n-1, stop, ready)
	} else {
		ready.Done()
		<-stop
	}
	return n + int(room[n%len(room)])
}

// The collector counts stacks as what lives, and so they don't have the heap grow by a multiple of theirs.
func TestSlackCountsStacks(t *testing.T) {
	t.Setenv("GOGC", "")
	end := make(chan struct{})
	var ready, all sync.WaitGroup
	for range 1000 {
		ready.Add(1)
		all.Go(func() { deep(32, end, &ready) })
	}
	defer all.Wait()
	defer close(end)
	ready.Wait()
	stop := Slack(16 * mib)
	defer stop()
	s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}}
	for range 5 { // finalizers run one after the other, so that those of all collections but the last are over
		over := make(chan struct{})
		runtime.SetFinalizer(new(sentinel), func(*sentinel) { close(over) })
		runtime.GC()
		<-over
	}
	metrics.Read(s)
	goal, live, stacks := s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64()
	if stacks < 30*mib || goal > 2*(live+stacks)+16*mib {
		t.Errorf("the heap may grow to %d MiB, with %d MiB live and %d MiB of stacks", goal/mib, live/mib, stacks/mib)
	}
}

func TestSlackLeavesGOGCAlone(t *testing.T) {
	t.Setenv("GOGC", "77")
	old := debug.SetGCPercent(77)
	defer debug.SetGCPercent(old)
	stop := Slack(16 * mib)
	for range 5 {
		runtime.GC()
	}
	stop()
	if p := debug.SetGCPercent(77); p != 77 {
		t.Errorf("GOGC is %d", p)
	}
}
