package replica

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// FindCgroups looks, once, where limits can be made, and removes what replicas that were killed have left there. Where
// that takes it, which is in a cgroup of version 2 with nobody else in it, this process moves into one below its own.
func FindCgroups() Cgroups { return findOnce() }

var findOnce = sync.OnceValue(func() Cgroups {
	member, _ := os.ReadFile("/proc/self/cgroup")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	own := ownCgroups(string(member), string(mounts))
	g := Cgroups{Memory: own["memory"], CPU: own["cpu"]}
	if dir := own[""]; slices.Contains(words(dir, "cgroup.controllers"), "memory") {
		g = Cgroups{Memory: dir, CPU: dir, V2: true}
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

// ownCgroups are the directories of a process's cgroups by controller, "" for version 2, from its files cgroup and
// mountinfo: cgroups(7), proc_pid_mountinfo(5). Of version 1, which knows no delegation, only a hierarchy's root counts,
// or what a container sees as such: any other cgroup belongs to whoever has put this process there.
func ownCgroups(member, mounts string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(member) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			for c := range strings.SplitSeq(f[1], ",") {
				paths[c] = f[2]
			}
		}
	}
	own := map[string]string{}
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		f, fs := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(fs) < 3 {
			continue
		}
		controllers := []string{""}
		switch fs[0] {
		case "cgroup2":
		case "cgroup":
			controllers = strings.Split(fs[2], ",")
		default:
			continue
		}
		for _, c := range controllers {
			path := paths[c]
			if path != filepath.Clean(path) || f[3] != filepath.Clean(f[3]) {
				continue // outside our namespace, which /.. stands for
			}
			below, err := filepath.Rel(f[3], path)
			if err == nil && filepath.IsLocal(below) && (c == "" || below == ".") {
				own[c] = filepath.Join(f[4], below)
			}
		}
	}
	return own
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
