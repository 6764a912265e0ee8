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

// FindCgroups looks, once, where limits can be made, and removes what replicas that were killed have left there. Where
// that takes it, which is in a cgroup of version 2 with nobody else in it, this process moves into one below its own.
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
	// The values are such as any cgroup above allows.
	if !(Cgroups{Memory: g.Memory, V2: g.V2}).works(Limits{Memory: 1 << 20}) {
		g.Memory = ""
	}
	if !(Cgroups{CPU: g.CPU, V2: g.V2}).works(Limits{CPU: leastCPU}) {
		g.CPU = ""
	}
	g.sweep()
	return g
})

// top is this process's cgroup of version 1, which knows no delegation, if it is a hierarchy's root, or what a container
// sees as such: any other cgroup belongs to whoever has put this process there.
func top(controller string) string {
	if own := cgroup.Chain(cgroup.File, controller); len(own) == 1 {
		return own[0]
	}
	return ""
}

// held is dir if this process is in that cgroup, or empty: where a mount shows another part of a hierarchy, the path of
// one's own cgroup may be missing, or be another's.
func held(dir string) string {
	if slices.Contains(words(dir, "cgroup.procs"), strconv.Itoa(os.Getpid())) {
		return dir
	}
	return ""
}

// distribute has a cgroup of version 2 give its controllers to those below it, if it can. A cgroup that does has no
// processes itself, unless it is the root: https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
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
				_ = write(dir, file, "+"+c) // whether limits work is tried
			}
		}
	}
}
