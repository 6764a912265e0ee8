package memlimit

import (
	"math"
	"testing"
)

func TestLimit(t *testing.T) {
	const none = math.MaxInt64
	const mounts = "36 25 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n30 25 0:26 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	meminfo := "MemTotal:        8000000 kB\nMemFree:          100 kB\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		goes  int64
		want  int64
	}{
		{"nothing is known", nil, none, Most},
		{"a machine", map[string]string{"/proc/meminfo": meminfo}, none, Most},
		{"a small machine", map[string]string{"/proc/meminfo": "MemTotal: 250000 kB\n"}, none, 250_000 << 10},
		{"GOMEMLIMIT", map[string]string{"/proc/meminfo": meminfo}, 5 << 30, 5 << 30},
		{"version 2, in a namespace", map[string]string{
			"/proc/meminfo": meminfo, "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "629145600\n",
		}, none, 600 << 20},
		{"GOMEMLIMIT is less", map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "629145600\n"}, 540 << 20, 540 << 20},
		{"version 2, a pod's is less", map[string]string{
			"/proc/self/cgroup":                         "0::/kube/pod1/app\n",
			"/sys/fs/cgroup/kube/pod1/app/memory.max":   "max\n",
			"/sys/fs/cgroup/kube/pod1/memory.max":       "104857600\n",
			"/sys/fs/cgroup/kube/memory.max":            "1048576000\n",
			"/sys/fs/cgroup/kube/pod1/other/memory.max": "1\n",
		}, none, 100 << 20},
		{"version 1", map[string]string{
			"/proc/meminfo": meminfo, "/proc/self/cgroup": "12:cpu,cpuacct:/a\n5:memory:/docker/1\n0::/a\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "314572800\n",
		}, none, 300 << 20},
		{"version 1 without a limit", map[string]string{
			"/proc/meminfo": meminfo, "/proc/self/cgroup": "5:memory:/docker/1\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, none, Most},
	} {
		file := func(name string) string {
			if name == "/proc/self/mountinfo" {
				return mounts
			}
			return c.files[name]
		}
		if got := limit(file, c.goes); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if n := Bytes(); n <= 0 {
		t.Errorf("this process: %d", n)
	}
}
