// Package procs sets on how many CPUs a proxy runs Go code: on all that are reserved for it, or on half of those that it
// shares with other processes.
//
//	main ─► Follow ─► affinity, quota of the cgroup ─► GOMAXPROCS
//
// # Concurrency
//
// Follow has one goroutine, which checks again every half minute and ends with stop.
package procs

import (
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/internal/cgroup"
)

// every is how often the CPUs are checked again. It is long, since pods are rarely resized and an idle sidecar should use
// no CPU.
const every = 30 * time.Second

// Follow sets GOMAXPROCS now and whenever affinity or quota change (Kubernetes resizes pods in place). If the variable
// GOMAXPROCS is set, Follow does nothing. Only main should call it. stop blocks no longer than one check takes.
//
// A proxy uses less CPU for a request than its client and its app, which often run on the same machine. When all CPUs are
// busy, more threads don't make it faster: a thread that waits for a CPU delays the requests in its run queue by some
// milliseconds, while other threads are too busy to steal them. So a proxy takes half of the CPUs that it shares. CPUs of a
// quota or an affinity are reserved for the proxy, and an autoscaler that scales by CPU expects it to use them.
func Follow() (stop func()) { return follow(cgroup.File, every) }

func follow(read func(file string) string, every time.Duration) (stop func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	m := newMachine(read, runtime.NumCPU())
	set := func() {
		if n := m.look().threads(); n != runtime.GOMAXPROCS(0) { // GOMAXPROCS stops the world briefly
			runtime.GOMAXPROCS(n)
		}
	}
	set()
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				set()
			}
		}
	})
	return sync.OnceFunc(func() { close(done); looking.Wait() })
}

// cpus has the numbers of CPUs that bound this process.
type cpus struct {
	allowed int // by its affinity
	online  int // of the machine
	quota   int // of its cgroup, in thousandths of a CPU; 0: no quota
}

// threads returns the value for GOMAXPROCS. Unlike Go, whose minimum is two, it is one for a quota of one CPU: two threads
// use that up in half of each period and are throttled for the other half.
func (c cpus) threads() int {
	switch {
	case c.quota > 0:
		return max(1, min(c.allowed, (c.quota+999)/1000))
	case c.allowed < c.online:
		return max(1, c.allowed)
	default:
		return max(1, c.allowed/2)
	}
}
