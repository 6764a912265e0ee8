package procs

import (
	"path"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/internal/cgroup"
)

// Linux' files with the CPUs (proc(5), Documentation/admin-guide/cputopology.rst). On other systems they are missing, and
// the process is taken to share all CPUs.
const (
	statusFile = "/proc/self/status"
	onlineFile = "/sys/devices/system/cpu/online"
)

// machine reads this process's CPUs.
type machine struct {
	read    func(file string) string // empty for a file that can't be read
	found   int                      // number of CPUs that the runtime found when it started
	cgroups []string                 // directories
}

func newMachine(read func(file string) string, found int) *machine {
	return &machine{read, found, cgroup.Dirs(read, "cpu")}
}

// look reads the current state.
func (m *machine) look() cpus {
	c := cpus{allowed: m.found, online: m.found}
	online := cpuList(m.read(onlineFile))
	if n := common(online, online); n > 0 {
		c.online = n
	}
	if _, rest, ok := strings.Cut(m.read(statusFile), "\nCpus_allowed_list:"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		if n := common(cpuList(line), online); n > 0 { // CPUs that are offline or missing may be allowed, too
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

// quota returns a cgroup's CPU quota in thousandths of a CPU; 0 if there is none.
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

// maxCPU is above the number of any CPU: Linux supports at most 8192.
const maxCPU = 1 << 16

// span is a range of CPUs, including both ends.
type span struct{ from, to int }

// cpuList reads "0-3,8" (Documentation/admin-guide/cputopology.rst), in which CPUs ascend; nil if text is not a list.
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

// common returns how many CPUs are in both lists.
func common(a, b []span) (n int) {
	for _, x := range a {
		for _, y := range b {
			n += max(0, min(x.to, y.to)-max(x.from, y.from)+1)
		}
	}
	return n
}
