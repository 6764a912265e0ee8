package cgroup

import (
	"runtime"
	"slices"
	"testing"
)

func TestDirs(t *testing.T) {
	const v2 = "36 25 0:31 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	const v1 = "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n" +
		"31 25 0:27 / /sys/fs/cgroup/cpuset rw shared:11 - cgroup cgroup rw,cpuset\n"
	for _, c := range []struct {
		name, groups, mounts string
		want                 []string
	}{
		{"nothing, as elsewhere", "", "", nil},
		{"no such controller", "5:memory:/a\n", v1, nil},
		{"not mounted", "4:cpu:/a\n0::/a\n", "", nil},
		{"version 2 in a container", "0::/\n", v2, []string{"/sys/fs/cgroup"}},
		{"version 2 on a host", "0::/a/b\n", v2, []string{"/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"}},
		{"version 1", "9:cpuset:/p\n4:cpu,cpuacct:/p\n", v1, []string{"/sys/fs/cgroup/cpu,cpuacct/p", "/sys/fs/cgroup/cpu,cpuacct"}},
		{"version 1 in a container without a namespace", "4:cpu:/docker/1\n", "30 25 0:26 /docker/1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n", []string{"/sys/fs/cgroup/cpu"}},
		{"outside of what is mounted", "0::/../other\n", "36 25 0:31 /here /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", []string{"/sys/fs/cgroup"}},
		{"both", "4:cpu:/p\n0::/q\n", "36 25 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", []string{"/sys/fs/cgroup/unified/q", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu/p", "/sys/fs/cgroup/cpu"}},
	} {
		file := func(name string) string {
			return map[string]string{"/proc/self/cgroup": c.groups, "/proc/self/mountinfo": c.mounts}[name]
		}
		if got := Dirs(file, "cpu"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if all := Dirs(File, "memory"); runtime.GOOS != "linux" && len(all) > 0 {
		t.Errorf("%s has %q", runtime.GOOS, all)
	}
}
