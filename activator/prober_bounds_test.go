package activator

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDialsAreBounded: ten thousand pods are not dialled at once; those that hold their probe don't keep others from
// theirs; and refused ones together are dialled at a bounded rate.
func TestDialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		p := newProber(Config{MaxProbeDials: 100, Dial: func(context.Context, string, string) (net.Conn, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(10 * time.Millisecond)
			now.Add(-1)
			return nil, errRefused
		}}.withDefaults())
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); p.run(ctx) }()
		for i := range 10_000 {
			passing(p, fmt.Sprint("pod:", i))
		}
		time.Sleep(3 * time.Second)
		if n := most.Load(); n != 100 {
			t.Errorf("%d dials at once", n)
		}
		cancel()
		<-ended
	})
}

func TestHeldProbesLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakePods{answer: func(addr string) func(net.Conn) {
			if addr == "good:1" {
				return healthy
			}
			return saying(200*time.Millisecond, 503, "")
		}}
		p := newProber(Config{MaxProbeDials: 1, Dial: f.dial}.withDefaults())
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); p.run(ctx) }()
		for i := range 100 {
			passing(p, fmt.Sprint("held:", i))
		}
		synctest.Wait()
		begin := time.Now()
		_, passed := passing(p, "good:1")
		<-passed
		if d := time.Since(begin); d > time.Millisecond {
			t.Errorf("waited %v behind held probes", d)
		}
		cancel()
		<-ended
		time.Sleep(time.Second)
	})
}

// TestProbesWaitForRun: what is started before run is probed when it runs, unless stopped; what is started after its
// end is not.
func TestProbesWaitForRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakePods{answer: func(string) func(net.Conn) { return healthy }}
		p := newProber(Config{Dial: f.dial}.withDefaults())
		_, first := passing(p, "a:1")
		stopped, second := passing(p, "b:1")
		stopped.stop()
		if len(f.dialed) > 0 {
			t.Fatal("dialled before run")
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); p.run(ctx) }()
		<-first
		cancel()
		<-ended
		_, third := passing(p, "c:1")
		synctest.Wait()
		if len(second) > 0 || len(third) > 0 || len(f.dialed) != 1 {
			t.Errorf("told %d and %d after %d dials", len(second), len(third), len(f.dialed))
		}
	})
}
