// Package procs says on how many CPUs a proxy runs Go code: on all that are its own, and on half of those that it shares with
// the ones whom it serves.
//
//	main ─► Follow ─► affinity, quota of the cgroup ─► GOMAXPROCS
//
// # Concurrency
//
// Follow has one goroutine, which looks again every half minute and ends with stop.
package procs

import (
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/internal/cgroup"
)

// every is how often the CPUs are looked at again: a pod that is resized in place isn't in a hurry, and a sidecar without
// requests should sleep.
const every = 30 * time.Second

// Follow has Go code run on as many CPUs as the rule says, now and as affinity and quota change (Kubernetes resizes pods in
// place). Where GOMAXPROCS is set, whoever did that has decided, and Follow does nothing. It is for main. Stop blocks for
// no longer than a look takes.
//
// A proxy does less for a request than its client and its app do, on the same machine often. Once all CPUs are busy, more
// threads don't make it faster: one that has to wait for a CPU holds up the requests in its own queue, for some
// milliseconds, while the others have enough to do not to come to their aid. So it takes half of CPUs that are everybody's.
// What a quota or an affinity gives is the proxy's own, and an autoscaler that looks at CPU expects it to be used.
func Follow() (stop func()) { return follow(cgroup.File, every) }

func follow(read func(file string) string, every time.Duration) (stop func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	m := newMachine(read, runtime.NumCPU())
	set := func() {
		if n := m.look().threads(); n != runtime.GOMAXPROCS(0) { // to set it stops the world for a moment
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

// cpus are those that this process may use.
type cpus struct {
	allowed int // by its affinity
	online  int // of the machine
	quota   int // of its cgroup, in thousandths of a CPU; 0: as much as there is
}

// threads is the rule. Unlike Go, which takes two threads at least, it keeps a quota of one CPU to one: two together have used
// it up after half of each period, and stand still for the other half.
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
