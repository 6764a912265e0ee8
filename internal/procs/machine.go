package procs

import (
	"path"
	"strconv"
	"strings"
)

// Where Linux says which CPUs there are (proc(5), Documentation/admin-guide/cputopology.rst); elsewhere these files are
// missing, and all CPUs are everybody's.
const (
	statusFile    = "/proc/self/status"
	onlineFile    = "/sys/devices/system/cpu/online"
	cgroupFile    = "/proc/self/cgroup"
	mountinfoFile = "/proc/self/mountinfo"
)

// machine is where to look for this process's CPUs.
type machine struct {
	read    func(file string) string // empty for a file that can't be read
	found   int                      // by the runtime, when it started
	cgroups []string                 // directories of this process's cgroup and of those above it that are visible
}

func newMachine(read func(file string) string, found int) *machine {
	cgroups, mounts := read(cgroupFile), read(mountinfoFile)
	return &machine{read, found, append(cgroupDirs(cgroups, mounts, "cgroup2"), cgroupDirs(cgroups, mounts, "cgroup")...)}
}

// look reads what may have changed.
func (m *machine) look() cpus {
	c := cpus{allowed: m.found, online: m.found}
	online := cpuList(m.read(onlineFile))
	if n := common(online, online); n > 0 {
		c.online = n
	}
	if _, rest, ok := strings.Cut(m.read(statusFile), "\nCpus_allowed_list:"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		if n := common(cpuList(line), online); n > 0 { // some that aren't there, or not now, may be allowed
			c.allowed = n
		}
	}
	for _, dir := range m.cgroups {
		if q := m.quota(dir); q > 0 && (c.quota == 0 || q < c.quota) {
			c.quota = q
		}
	}
	return c
}

// quota is how many CPUs a cgroup's CPU time is worth, in thousandths; 0 is no bound.
func (m *machine) quota(dir string) int {
	// "max 100000" or "50000 100000" (Documentation/admin-guide/cgroup-v2.rst, cpu.max).
	limit, period, ok := strings.Cut(strings.TrimSpace(m.read(path.Join(dir, "cpu.max"))), " ")
	if !ok { // "-1" or "50000" (Documentation/scheduler/sched-bwc.rst)
		limit = strings.TrimSpace(m.read(path.Join(dir, "cpu.cfs_quota_us")))
		period = strings.TrimSpace(m.read(path.Join(dir, "cpu.cfs_period_us")))
	}
	l, err1 := strconv.Atoi(limit)
	p, err2 := strconv.Atoi(period)
	if err1 != nil || err2 != nil || l <= 0 || p <= 0 {
		return 0
	}
	return max(1, l*1000/p)
}

// cgroupDirs finds the directories of this process's cgroup, its own first, in a hierarchy of that type; of version 1 in
// that of the cpu controller.
func cgroupDirs(cgroups, mounts, kind string) (dirs []string) {
	own, ok := cgroupPath(cgroups, kind)
	if !ok {
		return nil
	}
	mount, top, ok := cgroupMount(mounts, kind)
	if !ok {
		return nil
	}
	// What is mounted may begin at this very cgroup, as in a container.
	rest, below := strings.CutPrefix(own, strings.TrimSuffix(top, "/"))
	if !below {
		rest = "/"
	}
	for dir := path.Join("/", rest); ; dir = path.Dir(dir) {
		dirs = append(dirs, path.Join(mount, dir))
		if dir == "/" {
			return dirs
		}
	}
}

// cgroupPath reads /proc/self/cgroup: "0::/path" of version 2, "4:cpu,cpuacct:/path" of version 1 (cgroups(7)).
func cgroupPath(text, kind string) (own string, ok bool) {
	for line := range strings.Lines(text) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		if kind == "cgroup2" && id == "0" && controllers == "" || kind == "cgroup" && hasItem(controllers, "cpu") {
			return path, true
		}
	}
	return "", false
}

// cgroupMount reads /proc/self/mountinfo: "36 35 98:0 /top /mount options … - type source super,options" (proc(5)).
func cgroupMount(text, kind string) (mount, top string, ok bool) {
	for line := range strings.Lines(text) {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) < 5 || len(g) < 3 || g[0] != kind || kind == "cgroup" && !hasItem(g[2], "cpu") {
			continue
		}
		return f[4], f[3], true
	}
	return "", "", false
}

func hasItem(list, item string) bool {
	for i := range strings.SplitSeq(list, ",") {
		if i == item {
			return true
		}
	}
	return false
}

// maxCPU is more than any machine has; Linux can be built for 8192.
const maxCPU = 1 << 16

// span is a range of CPUs, both ends in it.
type span struct{ from, to int }

// cpuList reads "0-3,8" (Documentation/admin-guide/cputopology.rst), in which CPUs ascend; nil when it is none.
func cpuList(text string) (all []span) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || from < 0 || to < from || to >= maxCPU {
			return nil
		}
		all = append(all, span{from, to})
	}
	return all
}

// common is how many CPUs are in both lists.
func common(a, b []span) (n int) {
	for _, x := range a {
		for _, y := range b {
			n += max(0, min(x.to, y.to)-max(x.from, y.from)+1)
		}
	}
	return n
}
