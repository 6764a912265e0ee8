package procs

import (
	"runtime"
	"testing"
	"time"
)

// All that is its own, half of what is everybody's.
func TestC11Threads(t *testing.T) {
	for _, test := range []struct {
		name string
		cpus cpus
		want int
	}{
		{"one CPU", cpus{1, 1, 0}, 1},
		{"two that are shared", cpus{2, 2, 0}, 1},
		{"three", cpus{3, 3, 0}, 1},
		{"eight", cpus{8, 8, 0}, 4},
		{"a limit of 250m", cpus{8, 8, 250}, 1},
		{"of 1", cpus{8, 8, 1000}, 1},
		{"of 1500m", cpus{8, 8, 1500}, 2},
		{"of 2", cpus{8, 8, 2000}, 2},
		{"of 3", cpus{8, 8, 3000}, 3},
		{"of 4", cpus{8, 8, 4000}, 4},
		{"of 8", cpus{16, 16, 8000}, 8},
		{"of more than there are", cpus{4, 4, 8000}, 4},
		{"pinned to one", cpus{1, 8, 0}, 1},
		{"pinned to three", cpus{3, 8, 0}, 3},
		{"pinned, and a limit", cpus{4, 8, 2000}, 2},
	} {
		if got := test.cpus.threads(); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// What Linux says, in each way that it may say it.
func TestC11Look(t *testing.T) {
	const cgroupFile, mountinfoFile = "/proc/self/cgroup", "/proc/self/mountinfo"
	const host = "36 25 0:31 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	const v1 = "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n" +
		"31 25 0:27 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  cpus
	}{
		{"nothing, as elsewhere", nil, cpus{6, 6, 0}},
		{"no cgroup", map[string]string{onlineFile: "0-7\n", statusFile: "Name:\tx\nCpus_allowed_list:\t0-7\nMems_allowed:\t1\n"}, cpus{8, 8, 0}},
		{"pinned", map[string]string{onlineFile: "0-7\n", statusFile: "Name:\tx\nCpus_allowed_list:\t2-3,6\n"}, cpus{3, 8, 0}},
		{"CPUs that aren't there are allowed", map[string]string{onlineFile: "0-3", statusFile: "Name:\tx\nCpus_allowed_list:\t0-127\n"}, cpus{4, 4, 0}},
		{"a list that is none", map[string]string{onlineFile: "x", statusFile: "Name:\tx\nCpus_allowed_list:\t5-\n"}, cpus{6, 6, 0}},
		{"version 2 in a container", map[string]string{
			cgroupFile: "0::/\n", mountinfoFile: host, "/sys/fs/cgroup/cpu.max": "200000 100000\n",
		}, cpus{6, 6, 2000}},
		{"without a limit", map[string]string{
			cgroupFile: "0::/\n", mountinfoFile: host, "/sys/fs/cgroup/cpu.max": "max 100000\n",
		}, cpus{6, 6, 0}},
		{"version 2 on a host, a limit further up", map[string]string{
			cgroupFile: "0::/a/b\n", mountinfoFile: host, "/sys/fs/cgroup/a/cpu.max": "150000 100000\n", "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
		}, cpus{6, 6, 1500}},
		{"the least of several", map[string]string{
			cgroupFile: "0::/a/b\n", mountinfoFile: host, "/sys/fs/cgroup/a/cpu.max": "400000 100000\n", "/sys/fs/cgroup/a/b/cpu.max": "300000 100000\n",
		}, cpus{6, 6, 3000}},
		{"version 1", map[string]string{
			cgroupFile: "9:cpuset:/p\n4:cpu,cpuacct:/p\n0::/\n", mountinfoFile: v1,
			"/sys/fs/cgroup/cpu,cpuacct/p/cpu.cfs_quota_us": "50000\n", "/sys/fs/cgroup/cpu,cpuacct/p/cpu.cfs_period_us": "100000\n",
		}, cpus{6, 6, 500}},
		{"version 1 without a limit", map[string]string{
			cgroupFile: "4:cpu,cpuacct:/p\n", mountinfoFile: v1,
			"/sys/fs/cgroup/cpu,cpuacct/p/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/cpu,cpuacct/p/cpu.cfs_period_us": "100000\n",
		}, cpus{6, 6, 0}},
	} {
		if got := newMachine(func(name string) string { return test.files[name] }, 6).look(); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// GOMAXPROCS from the environment is kept.
func TestFollowLeavesGOMAXPROCSAlone(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "7")
	runtime.GOMAXPROCS(7)
	stop := follow(func(string) string { return "" }, time.Hour)
	defer stop()
	if n := runtime.GOMAXPROCS(0); n != 7 {
		t.Errorf("%d", n)
	}
}
