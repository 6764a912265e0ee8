// Package procs has a proxy leave room for those whom it serves.
package procs

import (
	"os"
	"runtime"
)

// Half has Go code run on half of the CPUs that Go would use, at least on one. Where GOMAXPROCS is set, whoever did that has
// decided, and Half does nothing. It is for main; what changes of the CPUs later is not followed.
//
// A proxy does less for a request than its client and its app do, on the same machine often. Once all CPUs are busy, more
// threads don't make it faster: one that has to wait for a CPU holds up the requests in its own queue, for some
// milliseconds, while the others have enough to do not to come to their aid. And within a quota of one CPU, for which Go
// chooses two, both together have used it up after half of each period, and stand still for the other half.
func Half() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}
