package queueproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A held probe is answered when the app listens: its prober doesn't have to repeat it.
func TestPeers30ListenIsNoticed(t *testing.T) {
	for range 20 {
		untilNoticed(t)
	}
}

// untilNoticed holds a probe, has the app listen, and returns how long it then took for the probe to be answered.
func untilNoticed(t testing.TB) time.Duration {
	addr := freeAddr(t)
	r := newReadiness(Config{UserAddr: addr, Probes: []Probe{{Kind: ProbeTCP, Addr: addr, Aggressive: true}}})
	defer r.close()
	noticed := make(chan time.Time, 1)
	go func() {
		if ready, err := r.probe(t.Context(), true, readinessPatience); !ready || err != nil {
			t.Error(ready, err)
		}
		noticed <- time.Now()
	}()
	time.Sleep(5*time.Millisecond + rand.N(5*time.Millisecond)) // not in step with the watch
	select {
	case <-noticed:
		t.Fatal("ready before the app listens")
	default:
	}
	ln, err := net.Listen("tcp", addr)
	up := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return (<-noticed).Sub(up)
}

// BenchmarkReadinessNotice measures the time from the app's listen() to the answer of a held probe, its own HTTP round trip
// apart: here the probe is a connection.
func BenchmarkReadinessNotice(b *testing.B) {
	var late []time.Duration
	for b.Loop() {
		late = append(late, untilNoticed(b))
	}
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(late[len(late)*9/10].Microseconds())/1000, "p90-ms")
}

// BenchmarkReadinessPolling measures what waiting for an app costs: the share of one core, of which cpu-idle-% is what
// the process uses without a wait, and what noticing costs in time is BenchmarkReadinessNotice's. One iteration is a wait of 2 s.
func BenchmarkReadinessPolling(b *testing.B) {
	addr := freeAddr(b)
	const wait = 2 * time.Second
	measure := func(during func()) float64 {
		cpu, begin := cpuTime(b), time.Now()
		during()
		return 100 * float64(cpuTime(b)-cpu) / float64(time.Since(begin))
	}
	var waiting, idle float64
	for range b.N {
		r := newReadiness(Config{UserAddr: addr, Probes: []Probe{{Kind: ProbeTCP, Addr: addr}}})
		waiting += measure(func() {
			ctx, cancel := context.WithTimeout(b.Context(), wait)
			defer cancel()
			if ready, _ := r.probe(ctx, true, readinessPatience); ready {
				b.Error("ready")
			}
		})
		r.close()
		idle += measure(func() { time.Sleep(wait) })
	}
	b.ReportMetric(waiting/float64(b.N), "cpu-%")
	b.ReportMetric(idle/float64(b.N), "cpu-idle-%")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// An app that listens and fails its first probe is probed again soon.
func TestReadinessAfterListen(t *testing.T) {
	var asked atomic.Int32
	addr := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	r := newReadiness(Config{UserAddr: addr, Probes: []Probe{{Kind: ProbeHTTP, Addr: addr, Aggressive: true, SuccessThreshold: 3}}})
	defer r.close()
	if ready, err := r.probe(t.Context(), false, readinessPatience); !ready || err != nil {
		t.Fatal(ready, err)
	}
	if n := asked.Load(); n != 6 {
		t.Errorf("asked %d times, want 3 failures and 3 successes", n)
	}
}

// A plain probe that isn't held is made once.
func TestPlainProbeAsksOnce(t *testing.T) {
	var asked atomic.Int32
	addr := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	r := newReadiness(Config{UserAddr: addr, Probes: []Probe{{Kind: ProbeHTTP, Addr: addr}}})
	defer r.close()
	if ready, err := r.probe(t.Context(), false, readinessPatience); ready || err != nil || asked.Load() != 1 {
		t.Error(ready, err, asked.Load())
	}
}

// All probes must succeed.
func TestSeveralContainers(t *testing.T) {
	var second atomic.Bool
	a := startApp(t, http.HandlerFunc(ok))
	b := startApp(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !second.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	r := newReadiness(Config{UserAddr: a, Probes: []Probe{{Kind: ProbeTCP, Addr: a}, {Kind: ProbeHTTP, Addr: b}}})
	defer r.close()
	if ready, err := r.probe(t.Context(), false, readinessPatience); ready || err != nil {
		t.Error(ready, err)
	}
	second.Store(true)
	if ready, err := r.probe(t.Context(), false, readinessPatience); !ready || err != nil {
		t.Error(ready, err)
	}
}

// With a dialer of the embedder's own the app is found through it.
func TestReadinessThroughDial(t *testing.T) {
	ln := startApp(t, http.HandlerFunc(ok))
	var up atomic.Bool
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		if !up.Load() {
			return nil, errors.New("not yet")
		}
		return (&net.Dialer{}).DialContext(ctx, network, ln)
	}
	const inside = "app.invalid:80"
	r := newReadiness(Config{UserAddr: inside, Dial: dial, Probes: []Probe{{Kind: ProbeHTTP, Addr: inside}}})
	defer r.close()
	done := make(chan bool)
	go func() {
		ready, _ := r.probe(t.Context(), true, readinessPatience)
		done <- ready
	}()
	up.Store(true)
	if !<-done {
		t.Error("not ready")
	}
}

func TestKnockOnIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 loopback on this machine (%v): nothing must be found there", err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*connectPollStep)
		defer cancel()
		if up, err := pollConnect(ctx, netip.MustParseAddrPort("[::1]:80")); up {
			t.Error(up, err)
		}
		return
	}
	defer ln.Close()
	ap, isLoopback := loopback(ln.Addr().String())
	if !isLoopback {
		t.Fatal(ln.Addr())
	}
	if up, err := pollConnect(t.Context(), ap); !up || err != nil {
		t.Error(up, err)
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.8.8.8:80": true, "[::1]:80": true,
		"10.0.0.1:80": false, "localhost:80": false, "[fe80::1%lo]:80": false, "": false,
	} {
		if _, got := loopback(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}

// All who join a run are woken in their order, but for those who have left.
func TestSharedWakesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan bool)
		s := shared{task: func(context.Context) bool { return <-finish }}
		defer s.close()
		var woken []int
		leave := make([]func() (bool, bool), 10)
		for i := range leave {
			leave[i] = s.join(func() { woken = append(woken, i) })
		}
		for _, i := range []int{0, 3, 9} {
			if _, ended := leave[i](); ended {
				t.Errorf("%d: ended", i)
			}
		}
		finish <- true
		synctest.Wait()
		if want := []int{1, 2, 4, 5, 6, 7, 8}; !slices.Equal(woken, want) {
			t.Errorf("woken: %v, want %v", woken, want)
		}
		for _, i := range woken {
			if result, ended := leave[i](); !result || !ended {
				t.Errorf("%d: %v, %v", i, result, ended)
			}
		}
	})
}

// One run for all waiters that overlap, cancelled when the last one leaves.
func TestSharedRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, ended atomic.Int32
		finish := make(chan bool)
		s := shared{task: func(ctx context.Context) bool {
			runs.Add(1)
			defer ended.Add(1)
			select {
			case ok := <-finish:
				return ok
			case <-ctx.Done():
				return false
			}
		}}
		leaving := make([]context.CancelFunc, 10)
		results := make([]string, 10)
		var all sync.WaitGroup
		start := func() {
			for i := range leaving {
				ctx, cancel := context.WithCancel(t.Context())
				leaving[i] = cancel
				all.Go(func() {
					ok, err := s.wait(ctx)
					results[i] = fmt.Sprint(ok, err)
				})
			}
			synctest.Wait()
		}
		start()
		if runs.Load() != 1 {
			t.Errorf("%d runs for ten at once", runs.Load())
		}
		for i := range 9 { // the first among them, who started the run
			leaving[i]()
		}
		synctest.Wait()
		if ended.Load() != 0 {
			t.Error("ended despite a waiter")
		}
		finish <- true
		all.Wait()
		if results[9] != "true <nil>" || results[0] != "false context canceled" {
			t.Error(results)
		}

		start()
		for i := range 10 {
			leaving[i]()
		}
		all.Wait()
		s.close()
		if runs.Load() != 2 || ended.Load() != 2 || s.current != nil {
			t.Errorf("%d runs, %d ended", runs.Load(), ended.Load())
		}
	})
}
