package throttler_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-proxy/sluice/throttler"
)

// podOf is where the next request of a key goes.
func podOf(t testing.TB, th *throttler.Throttler, d throttler.Demand) string {
	t.Helper()
	l, ok, err := th.TryAcquire(d)
	if !ok {
		t.Fatal("no slot", err)
	}
	l.Release(throttler.OK)
	return l.ID()
}

func podsOf(t testing.TB, th *throttler.Throttler, keys int) []string {
	t.Helper()
	all := make([]string, keys)
	for i := range all {
		all[i] = podOf(t, th, throttler.Demand{Revision: revisionID(0), Key: throttler.Key(fmt.Sprint("key-", i))})
	}
	return all
}

// Whatever the order in which pods become known, activators agree; a pod that goes moves its own keys alone, and one that
// comes takes keys from others but moves none between them.
func TestPeers40KeysMoveOnlyWithTheirPod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other := newThrottler2(t), newThrottler2(t)
		n := rapid.SampledFrom([]int{2, 3, 10, 65, 200}).Draw(t, "pods")
		pods := podList(n, rapid.SampledFrom([]int{0, 1, 10}).Draw(t, "slots"))
		const keys = 300
		one.SetBackends(revisionID(0), pods)
		for _, p := range rapid.Permutation(pods).Draw(t, "order") {
			other.PatchBackends(revisionID(0), []throttler.Backend{p}, nil)
			podsOf2(t, other, 1)
		}
		before := podsOf2(t, one, keys)
		for i, pod := range podsOf2(t, other, keys) {
			if pod != before[i] {
				t.Fatalf("key %d: %s and %s", i, before[i], pod)
			}
		}
		gone := rapid.SampledFrom(pods).Draw(t, "gone")
		one.PatchBackends(revisionID(0), nil, []string{gone.ID})
		for i, pod := range podsOf2(t, one, keys) {
			if before[i] != gone.ID && pod != before[i] || pod == gone.ID {
				t.Fatalf("key %d moved from %s to %s when %s went", i, before[i], pod, gone.ID)
			}
		}
		one.PatchBackends(revisionID(0), []throttler.Backend{gone}, nil)
		for i, pod := range podsOf2(t, one, keys) {
			if pod != before[i] {
				t.Fatalf("key %d is on %s, not on %s, after %s came back", i, pod, before[i], gone.ID)
			}
		}
	})
}

func newThrottler2(t *rapid.T) *throttler.Throttler {
	th, err := throttler.New(throttler.Config{})
	if err != nil {
		t.Fatal(err)
	}
	th.SetRevision(revisionID(0), throttler.RevisionConfig{})
	return th
}

func podsOf2(t *rapid.T, th *throttler.Throttler, keys int) []string {
	all := make([]string, keys)
	for i := range all {
		l, ok, err := th.TryAcquire(throttler.Demand{Revision: revisionID(0), Key: throttler.Key(fmt.Sprint("key-", i))})
		if !ok {
			t.Fatal("no slot", err)
		}
		all[i] = l.ID()
		l.Release(throttler.OK)
	}
	return all
}

// No pod has many more keys than the mean. The names are fixed, so that chance has no part in it.
func TestKeysAreSpreadEvenly(t *testing.T) {
	for _, pods := range []int{2, 3, 8, 100, 1000} {
		th, _ := withPods(t, pods, 0)
		const perPod = 200
		has := map[string]int{}
		for _, pod := range podsOf(t, th, pods*perPod) {
			has[pod]++
		}
		most := 0
		for _, n := range has {
			most = max(most, n)
		}
		if most > perPod*135/100 {
			t.Errorf("%d pods: one has %d keys of %d in the mean", pods, most, perPod)
		}
	}
}

func TestKeyLeavesAFullPodAndComesBack(t *testing.T) {
	th, d := withPods(t, 3, 1)
	d.Key = throttler.Key("cart-17")
	first, _, _ := th.TryAcquire(d)
	second, ok, _ := th.TryAcquire(d)
	if !ok || second.ID() == first.ID() || second.KeyEpoch() <= first.KeyEpoch() {
		t.Fatalf("%v: %s at %d, then %s at %d", ok, first.ID(), first.KeyEpoch(), second.ID(), second.KeyEpoch())
	}
	second.Release(throttler.OK)
	first.Release(throttler.OK)
	third, _, _ := th.TryAcquire(d)
	if third.ID() != first.ID() || third.KeyEpoch() <= second.KeyEpoch() {
		t.Errorf("%s at %d, want %s and more than %d", third.ID(), third.KeyEpoch(), first.ID(), second.KeyEpoch())
	}
	third.Release(throttler.OK)
	fourth, _, _ := th.TryAcquire(d)
	if fourth.ID() != third.ID() || fourth.KeyEpoch() != third.KeyEpoch() {
		t.Errorf("%s at %d, want %s at %d", fourth.ID(), fourth.KeyEpoch(), third.ID(), third.KeyEpoch())
	}
	th.PatchBackends(d.Revision, nil, []string{fourth.ID()})
	podOf(t, th, d)
	s, _ := th.Stats(d.Revision)
	if s.Keys != 4 || s.Kept != 1 || s.MovedFull != 1 || s.MovedHome != 1 || s.MovedGone != 1 || s.MovedOut != 0 {
		t.Errorf("%+v", s)
	}
}

// A remote pod takes as many requests of its keys as it has slots: that of a key is the same for every activator.
func TestKeyGoesToARemotePod(t *testing.T) {
	th, d := withPods(t, 4, 3)
	d.Key = throttler.Key("far away")
	home := podOf(t, th, d)
	pods := podList(4, 3)
	for i := range pods {
		pods[i].Own, pods[i].Spillover = pods[i].ID != home, pods[i].ID == home
	}
	th.SetBackends(d.Revision, pods)
	for i := range 4 {
		l, _, _ := th.TryAcquire(d)
		if (l.ID() == home) != (i < 3) || l.Spillover() != (i < 3) {
			t.Errorf("request %d: %s, a spillover: %v", i, l.ID(), l.Spillover())
		}
	}
	d.NoSpillover = true
	if l, ok, _ := th.TryAcquire(d); !ok || l.ID() == home {
		t.Errorf("%v, %s: not an own pod", ok, l.ID())
	}
}

// place is a request that waits in turn, or the lease that it got.
type place struct {
	turn  throttler.Turn
	lease throttler.Lease
	place *throttler.Place
	woken chan struct{}
}

func inTurn(t testing.TB, th *throttler.Throttler, d throttler.Demand, key string) *place {
	t.Helper()
	p := &place{woken: make(chan struct{}, 1)}
	d.Key, d.Turn = throttler.Key(key), &p.turn
	var err error
	if p.lease, p.place, err = th.Queue(d, func() { p.woken <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) waits() bool { return p.place != nil && len(p.woken) == 0 }

func (p *place) granted(t testing.TB) throttler.Lease {
	t.Helper()
	if p.place != nil {
		<-p.woken
		var err error
		if p.lease, err = p.place.Leave(context.Canceled); err != nil {
			t.Fatal(err)
		}
		p.place = nil
	}
	return p.lease
}

func (p *place) end(t testing.TB) {
	t.Helper()
	p.granted(t).Release(throttler.OK)
	p.turn.End()
}

func TestPeers41KeysTakeTurns(t *testing.T) {
	th, d := withPods(t, 2, 10)
	first, second, third := inTurn(t, th, d, "a"), inTurn(t, th, d, "a"), inTurn(t, th, d, "a")
	other := inTurn(t, th, d, "b")
	if first.waits() || !second.waits() || !third.waits() || other.waits() {
		t.Fatal("not one request of each key")
	}
	if _, ok, err := th.TryAcquire(throttler.Demand{Revision: d.Revision, Key: throttler.Key("a"), Turn: new(throttler.Turn)}); ok || err != nil {
		t.Fatal("it isn't its turn", err)
	}
	first.lease.Release(throttler.OK)
	if !second.waits() {
		t.Fatal("the turn ended with the lease, though the request may be tried again")
	}
	again := inTurn(t, th, d, "c")
	again.end(t)
	l, ok, err := th.TryAcquire(throttler.Demand{Revision: d.Revision, Key: throttler.Key("a"), Turn: &first.turn})
	if !ok || l.ID() != first.lease.ID() {
		t.Fatal("the retry doesn't have the turn of its request", err)
	}
	l.Release(throttler.OK)
	first.turn.End()
	first.turn.End() // does nothing
	if second.waits() || !third.waits() {
		t.Fatal("not the next one's turn")
	}
	second.end(t)
	third.end(t)
	other.end(t)
	if s, _ := th.Stats(d.Revision); s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// The pod of a key that takes turns is waited for, whoever is free.
func TestTurnWaitsForItsPod(t *testing.T) {
	th, d := withPods(t, 2, 1)
	home := podOf(t, th, throttler.Demand{Revision: d.Revision, Key: throttler.Key("key-1")})
	same := ""
	for i := 2; same == ""; i++ {
		if key := fmt.Sprint("key-", i); podOf(t, th, throttler.Demand{Revision: d.Revision, Key: throttler.Key(key)}) == home {
			same = key
		}
	}
	a := inTurn(t, th, d, "key-1")
	b := inTurn(t, th, d, same)
	if !b.waits() {
		t.Fatalf("on %s, while %s is full", b.lease.ID(), home)
	}
	a.end(t)
	if b.granted(t).ID() != a.lease.ID() {
		t.Errorf("on %s, want %s", b.lease.ID(), a.lease.ID())
	}
	b.end(t)
}

// TestPeers41TurnsWaitForABusyPod: keys stay with their pod also while it has much more to do than the others, up to a bound.
func TestPeers41TurnsWaitForABusyPod(t *testing.T) {
	const slots, many = 10, 100
	th, d := withPods(t, 8, slots)
	of := podsOf(t, th, 10*many)
	var all []*place
	for i, home := range of {
		if home != of[0] {
			continue
		}
		p := inTurn(t, th, d, fmt.Sprint("key-", i))
		if len(all) == many {
			if p.waits() || p.lease.ID() == home {
				t.Errorf("beyond %d requests one waits for %s, too", many, home)
			} else {
				p.end(t)
			}
			break
		}
		if p.waits() != (len(all) >= slots) {
			t.Fatalf("request %d: waits: %v, pod %q, want %s", len(all), p.waits(), p.lease.ID(), home)
		}
		all = append(all, p)
	}
	if len(all) < many {
		t.Fatalf("only %d keys of a pod", len(all))
	}
	for _, p := range all {
		if id := p.granted(t).ID(); id != of[0] {
			t.Errorf("on %s, want %s", id, of[0])
		}
		p.end(t)
	}
}

// From zero: requests that wait are spread over the pods that come, and a pod's requests move on when it goes.
func TestTurnsFromZero(t *testing.T) {
	th, d := withPods(t, 0, 0)
	var all []*place
	for i := range 40 {
		all = append(all, inTurn(t, th, d, fmt.Sprint("key-", i/2)))
	}
	pods := podList(4, 1)
	th.PatchBackends(d.Revision, pods[:1], nil)
	th.PatchBackends(d.Revision, pods[1:], nil)
	th.PatchBackends(d.Revision, nil, []string{pods[2].ID})
	on := map[string]int{}
	for done := 0; done < len(all); {
		before := done
		for i, p := range all {
			if p == nil || p.waits() {
				continue
			}
			if i%2 == 1 && all[i-1] != nil {
				t.Fatalf("key %d: the second before the first", i/2)
			}
			on[p.granted(t).ID()]++
			p.end(t)
			all[i] = nil
			done++
		}
		if done == before {
			t.Fatalf("%d requests wait, and pods are free", len(all)-done)
		}
	}
	if len(on) != 4 || on[pods[2].ID] != 1 { // it had given its slot
		t.Errorf("requests by pod: %v", on)
	}
}

func TestTurnsOfADeletedRevision(t *testing.T) {
	th, d := withPods(t, 1, 1)
	first, second, third := inTurn(t, th, d, "a"), inTurn(t, th, d, "a"), inTurn(t, th, d, "b")
	th.DeleteRevision(d.Revision)
	for _, p := range []*place{second, third} {
		<-p.woken
		if _, err := p.place.Leave(context.Canceled); err != throttler.ErrRevisionGone {
			t.Error(err)
		}
		p.turn.End()
	}
	first.end(t)
	if n := th.Totals(); n.Waiting != 0 || n.Revisions != 0 || n.Keys != 0 {
		t.Errorf("%+v", n)
	}
}

// Many keys and pods that come and go: each key's requests are in progress one at a time, in order.
func TestRaceOfTurns(t *testing.T) {
	th, d := withPods(t, 4, 2)
	const keys, each = 16, 60
	var all, changes sync.WaitGroup
	stop := make(chan struct{})
	changes.Go(func() {
		pods := podList(6, 2)
		for {
			select {
			case <-stop:
				return
			default:
				n := 1 + rand.IntN(len(pods))
				th.SetBackends(d.Revision, pods[:n])
			}
		}
	})
	for k := range keys {
		var busy sync.Mutex
		next := 0
		begun := make(chan struct{}, 1)
		begun <- struct{}{}
		for i := range each {
			<-begun // in this order
			p := inTurn(t, th, d, fmt.Sprint("key-", k))
			begun <- struct{}{}
			all.Go(func() {
				l := p.granted(t)
				if !busy.TryLock() {
					t.Error("two requests of one key at a time")
				} else if i != next {
					t.Errorf("key %d: request %d, want %d", k, i, next)
				}
				next++
				runtime.Gosched()
				busy.Unlock()
				l.Release([]throttler.Outcome{throttler.OK, throttler.Unused}[rand.IntN(2)])
				p.turn.End()
			})
		}
	}
	all.Wait()
	close(stop)
	changes.Wait()
}

func BenchmarkKey(b *testing.B) {
	for _, pods := range []int{10, 10_000} {
		b.Run(fmt.Sprint("pods=", pods), func(b *testing.B) {
			th, d := withPods(b, pods, 10)
			keys := make([]uint64, 4096)
			for i := range keys {
				keys[i] = throttler.Key(fmt.Sprint("key-", i))
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				d.Key = keys[i%len(keys)]
				i++
				l, ok, err := th.TryAcquire(d)
				if !ok {
					b.Fatal(err)
				}
				l.Release(throttler.OK)
			}
		})
	}
}

// BenchmarkKeysFromZero is what it costs the lock's holder when one of a hundred pods comes that 10 000 requests wait for.
func BenchmarkKeysFromZero(b *testing.B) {
	for _, keys := range []int{1000, 10_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			var total, longest time.Duration
			n := 0
			for b.Loop() {
				th, d := withPods(b, 0, 0)
				th.SetRevision(d.Revision, throttler.RevisionConfig{MaxWaiting: 20_000})
				d.Enqueued = time.Now()
				for i := range 10_000 {
					d.Enqueued = d.Enqueued.Add(-time.Duration(rand.IntN(3)-1) * time.Microsecond)
					inTurn(b, th, d, fmt.Sprint("key-", i%keys))
				}
				for _, p := range podList(100, 1) {
					begun := time.Now()
					th.PatchBackends(d.Revision, []throttler.Backend{p}, nil)
					took := time.Since(begun)
					total, longest, n = total+took, max(longest, took), n+1
				}
			}
			b.ReportMetric(float64(total.Microseconds())/float64(n), "µs/pod")
			b.ReportMetric(float64(longest.Microseconds()), "µs/longest")
		})
	}
}

// A hot key leaves its pod when that has much more to do than the mean, also when the pods were there before the first key.
func TestHotKeyIsSpread(t *testing.T) {
	th, d := withPods(t, 10, 0)
	d.Key = throttler.Key("hot")
	has := map[string]int{}
	for range 500 {
		l, _, _ := th.TryAcquire(d)
		has[l.ID()]++
	}
	for pod, n := range has {
		if n > 102 { // twice the mean of 50, plus 2
			t.Errorf("%s has %d requests of one key, the mean is 50", pod, n)
		}
	}
	if s, _ := th.Stats(d.Revision); s.MovedFull == 0 || s.MovedFull+s.MovedHome+s.Kept != 499 {
		t.Errorf("%+v", s)
	}
}

// One key can't take all places of the queue: like a client, it may have as many as are free.
func TestFloodOfAKeyLeavesPlaces(t *testing.T) {
	th, d := withPods(t, 0, 0)
	th.SetRevision(d.Revision, throttler.RevisionConfig{MaxWaiting: 100})
	got := 0
	for range 200 {
		d.Key, d.Turn = throttler.Key("flood"), new(throttler.Turn)
		if _, _, err := th.Queue(d, func() {}); err == nil {
			got++
		}
	}
	if got < 45 || got > 55 {
		t.Errorf("a key has %d places of 100", got)
	}
	for i := range 40 {
		inTurn(t, th, d, fmt.Sprint("key-", i))
	}
	th.DeleteRevision(d.Revision)
}

// A turn that a request had in a revision that is gone ends when it is tried in the one of that name that came after.
func TestTurnInARevisionThatCameAgain(t *testing.T) {
	th, d := withPods(t, 1, 1)
	first := inTurn(t, th, d, "a")
	first.lease.Release(throttler.Unused)
	th.DeleteRevision(d.Revision)
	th.SetRevision(d.Revision, throttler.RevisionConfig{})
	th.SetBackends(d.Revision, podList(1, 1))
	l, ok, err := th.TryAcquire(throttler.Demand{Revision: d.Revision, Key: throttler.Key("a"), Turn: &first.turn})
	if !ok {
		t.Fatal(err)
	}
	l.Release(throttler.OK)
	first.turn.End()
	th.DeleteRevision(d.Revision)
	if n := th.Totals().Keys; n != 0 {
		t.Errorf("%d keys are remembered of no revision", n)
	}
}

// Requests whose turn comes by the end of another's count for Retry-After.
func TestRetryAfterOfTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, d := withPods(t, 1, 0)
		var all []*place
		for range 11 {
			all = append(all, inTurn(t, th, d, "a"))
		}
		for _, p := range all[:10] {
			time.Sleep(2 * time.Second)
			p.end(t)
		}
		if after := th.RetryAfter(d.Revision); after < 2*time.Second || after > 3*time.Second {
			t.Errorf("%v, and a request takes 2 s", after)
		}
		all[10].end(t)
	})
}

// Revisions that are deleted and come again while requests with keys wait, give up, and are tried again: nothing is left of them.
func TestRaceOfKeysAndDeletions(t *testing.T) {
	th, d := withPods(t, 4, 2)
	var all, changes sync.WaitGroup
	stop := make(chan struct{})
	changes.Go(func() {
		pods := podList(6, 2)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if i%10 == 0 {
				th.DeleteRevision(d.Revision)
				th.SetRevision(d.Revision, throttler.RevisionConfig{MaxWaiting: 50})
			}
			for p := range pods {
				pods[p].Own, pods[p].Spillover = rand.IntN(3) > 0, true
			}
			th.SetBackends(d.Revision, pods[:rand.IntN(len(pods)+1)])
			runtime.Gosched()
		}
	})
	for range 32 {
		all.Go(func() {
			for range 300 {
				d, turn := d, throttler.Turn{}
				d.Key, d.NoSpillover = uint64(1+rand.IntN(8)), rand.IntN(4) == 0
				if rand.IntN(3) > 0 {
					d.Turn = &turn
				}
				for range 1 + rand.IntN(3) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3))*time.Millisecond)
					l, err := th.Acquire(ctx, d)
					cancel()
					if err == nil {
						d.Avoid[rand.IntN(2)] = l.ID()
						l.Release([]throttler.Outcome{throttler.OK, throttler.Unused, throttler.Busy, throttler.DialFailed}[rand.IntN(4)])
					}
				}
				turn.End()
			}
		})
	}
	all.Wait()
	close(stop)
	changes.Wait()
	th.DeleteRevision(d.Revision)
	if n := th.Totals(); n.Waiting != 0 || n.Revisions != 0 || n.Keys != 0 || n.DoubleReleases != 0 {
		t.Errorf("%+v", n)
	}
}
