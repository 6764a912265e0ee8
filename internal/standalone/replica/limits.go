package replica

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits of a container's resources. 0: no limit.
type Limits struct {
	Memory     int64  // bytes
	MemoryText string // Memory as in the manifest
	CPU        int64  // in thousandths of a CPU
}

// Cgroups are the cgroups below which limits can be set; empty: none.
type Cgroups struct {
	Memory, CPU string // directories
	V2          bool
}

// Limit reports whether limits of a resource, by its name in Kubernetes, are enforced.
func (g Cgroups) Limit(resource string) bool {
	return resource == "memory" && g.Memory != "" || resource == "cpu" && g.CPU != ""
}

func (g Cgroups) works(l Limits) bool {
	made, err := g.limit(l)
	made.remove()
	return err == nil && made != nil
}

// group limits one run of a container. A nil group limits nothing.
type group struct {
	dirs   []string
	v2     bool
	limits Limits
}

// Kubernetes' period of CPU quotas in µs, and the least quota, 1 ms.
const (
	period   = 100_000
	leastCPU = 10
)

// setting is a file of a cgroup. Optional: the kernel or a parent cgroup may reject it.
type setting struct {
	in, file, value string
	optional        bool
}

// settings returns those for l. Swap counts against the limit of memory. The kernel kills all processes of a container
// together, as in Kubernetes. Version 1 rejects a quota above that of a parent cgroup, which would have no effect.
func (g Cgroups) settings(l Limits) (all []setting) {
	memory, quota := strconv.FormatInt(l.Memory, 10), strconv.FormatInt(max(l.CPU, leastCPU)*period/1000, 10)
	if l.Memory > 0 && g.Memory != "" {
		if g.V2 {
			all = append(all, setting{g.Memory, "memory.max", memory, false}, setting{g.Memory, "memory.swap.max", "0", true}, setting{g.Memory, "memory.oom.group", "1", true})
		} else {
			all = append(all, setting{g.Memory, "memory.limit_in_bytes", memory, false}, setting{g.Memory, "memory.memsw.limit_in_bytes", memory, true})
		}
	}
	if l.CPU > 0 && g.CPU != "" {
		if g.V2 {
			all = append(all, setting{g.CPU, "cpu.max", quota + " " + strconv.Itoa(period), false})
		} else {
			all = append(all, setting{g.CPU, "cpu.cfs_period_us", strconv.Itoa(period), false}, setting{g.CPU, "cpu.cfs_quota_us", quota, l.CPU > leastCPU})
		}
	}
	return all
}

// prefix of the names of our cgroups, which the PID of their creator follows.
const prefix = "sluice-"

var names atomic.Int64

func newName() string { return fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), names.Add(1)) }

// limit makes a group; nil if there is no limit to enforce.
func (g Cgroups) limit(l Limits) (*group, error) {
	all := g.settings(l)
	if len(all) == 0 {
		return nil, nil
	}
	made, name := &group{v2: g.V2, limits: l}, newName()
	for _, s := range all {
		dir := filepath.Join(s.in, name)
		if !slices.Contains(made.dirs, dir) {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return made, err
			}
			made.dirs = append(made.dirs, dir)
		}
		if err := write(dir, s.file, s.value); err != nil && !s.optional {
			return made, err
		}
	}
	return made, nil
}

// start starts a process inside g, so that its children are inside, too.
func (g *group) start(cmd *exec.Cmd) error {
	switch {
	case g == nil:
		return cmd.Start()
	case g.v2:
		dir, err := os.Open(g.dirs[0]) // version 2 has one directory
		if err != nil {
			return err
		}
		defer dir.Close()
		beginIn(cmd.SysProcAttr, dir)
		return cmd.Start()
	}
	// Version 1 has threads in cgroups of their own, and a process begins where the thread is that forks. 0 is the caller:
	// https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html#attaching-processes
	runtime.LockOSThread()
	var err error
	for _, dir := range g.dirs {
		err = errors.Join(err, write(dir, "tasks", "0"))
	}
	if err == nil {
		err = cmd.Start()
	}
	var back error
	for _, dir := range g.dirs {
		back = errors.Join(back, write(filepath.Dir(dir), "tasks", "0"))
	}
	if back == nil { // else this goroutine keeps the thread, so that no other is limited
		runtime.UnlockOSThread()
	}
	return err
}

// killed reports whether the kernel has killed a process of g because of its memory.
func (g *group) killed() bool {
	if g == nil {
		return false
	}
	file := "memory.oom_control" // oom_kill since Linux 4.13
	if g.v2 {
		file = "memory.events"
	}
	return slices.ContainsFunc(g.dirs, func(dir string) bool {
		w := words(dir, file)
		i := slices.Index(w, "oom_kill")
		return i >= 0 && i+1 < len(w) && w[i+1] != "0"
	})
}

// remove removes g after its processes have ended.
func (g *group) remove() {
	if g != nil {
		removeAll(g.dirs)
	}
}

// removeOf removes all groups of a creator that has ended or is about to.
func (g Cgroups) removeOf(pid int) { removeAll(g.named(prefix + strconv.Itoa(pid) + "-*")) }

// sweep removes groups whose creators have ended, unless they still have processes.
func (g Cgroups) sweep() {
	for _, dir := range g.named(prefix + "*") {
		maker, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		if pid, err := strconv.Atoi(maker); err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.Remove(dir)
		}
	}
}

func (g Cgroups) named(pattern string) (dirs []string) {
	for _, in := range slices.Compact([]string{g.Memory, g.CPU}) { // in version 2 both are the same
		if in != "" {
			found, _ := filepath.Glob(filepath.Join(in, pattern))
			dirs = append(dirs, found...)
		}
	}
	return dirs
}

// clearTries bounds clear and removeAll to about 2 s. A killed process needs some CPU time to end, for which it waits on a
// busy machine.
const clearTries = 1000

// removeAll retries while killed processes are ending.
func removeAll(dirs []string) {
	for range clearTries {
		dirs = slices.DeleteFunc(dirs, func(dir string) bool {
			err := os.Remove(dir)
			return err == nil || errors.Is(err, os.ErrNotExist)
		})
		if len(dirs) == 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// words returns the words of a file; none if dir is empty.
func words(dir, file string) []string {
	if dir == "" {
		return nil
	}
	data, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.Fields(string(data))
}

// write writes a file of a cgroup, which has to exist.
func write(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
