package replica

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/sluice-proxy/sluice/internal/cgroup"
)

// FindCgroups finds the cgroups in which limits can be set, and removes those that killed replicas have left. If this
// process is alone in a cgroup of version 2, it moves into a new one below, as limits require.
func FindCgroups() Cgroups { return findOnce() }

var findOnce = sync.OnceValue(func() Cgroups {
	g := Cgroups{Memory: top("memory"), CPU: top("cpu")}
	if own := cgroup.Chain(cgroup.File, cgroup.V2); len(own) > 0 && slices.Contains(words(own[0], "cgroup.controllers"), "memory") {
		g = Cgroups{Memory: own[0], CPU: own[0], V2: true}
	}
	if g.Memory = held(g.Memory); g.V2 {
		g.CPU = g.Memory
		distribute(g.Memory)
	} else {
		g.CPU = held(g.CPU)
	}
	// Any parent cgroup allows these values.
	if !(Cgroups{Memory: g.Memory, V2: g.V2}).works(Limits{Memory: 1 << 20}) {
		g.Memory = ""
	}
	if !(Cgroups{CPU: g.CPU, V2: g.V2}).works(Limits{CPU: leastCPU}) {
		g.CPU = ""
	}
	g.sweep()
	return g
})

// top is this process's cgroup of version 1 if it is the root of a hierarchy, or the root that a container sees. Version 1
// has no delegation: any other cgroup belongs to the program that put this process there.
func top(controller string) string {
	if own := cgroup.Chain(cgroup.File, controller); len(own) == 1 {
		return own[0]
	}
	return ""
}

// held returns dir if this process is in that cgroup, else "": if a mount shows another part of a hierarchy, the path of
// the own cgroup may be missing, or be another cgroup's.
func held(dir string) string {
	if slices.Contains(words(dir, "cgroup.procs"), strconv.Itoa(os.Getpid())) {
		return dir
	}
	return ""
}

// distribute enables the controllers of a cgroup of version 2 for its children, if possible. Only the root may then have
// processes itself: https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
func distribute(dir string) {
	for _, c := range []string{"memory", "cpu"} {
		const file = "cgroup.subtree_control"
		if !slices.Contains(words(dir, "cgroup.controllers"), c) || slices.Contains(words(dir, file), c) {
			continue
		}
		self := strconv.Itoa(os.Getpid())
		if err := write(dir, file, "+"+c); errors.Is(err, syscall.EBUSY) && slices.Equal(words(dir, "cgroup.procs"), []string{self}) {
			below := filepath.Join(dir, newName())
			if os.Mkdir(below, 0o755) == nil && write(below, "cgroup.procs", self) == nil {
				_ = write(dir, file, "+"+c) // a later attempt shows whether limits work
			}
		}
	}
}
