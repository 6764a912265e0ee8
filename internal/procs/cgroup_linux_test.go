package procs

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/cgroup"
)

// follower is what the test binary is as a process in a cgroup: once its input says go, it follows and prints GOMAXPROCS
// whenever that changes, until its input ends.
func follower() {
	in := bufio.NewReader(os.Stdin)
	_, _ = in.ReadString('\n')
	_ = os.Unsetenv("GOMAXPROCS")
	stop := follow(cgroup.File, 10*time.Millisecond)
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = in.ReadString('\n') }()
	for last := 0; ; {
		if n := runtime.GOMAXPROCS(0); n != last {
			fmt.Println(n)
			last = n
		}
		select {
		case <-ended:
			stop()
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// quotaGroup is a directory of the kernel's that bounds CPU time.
type quotaGroup struct {
	dir string
	v2  bool
}

// newCgroup makes one; the test is skipped where it must not.
func newCgroup(t *testing.T) quotaGroup {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes cgroups")
	}
	for _, c := range []quotaGroup{{"/sys/fs/cgroup/cpu", false}, {"/sys/fs/cgroup/cpu,cpuacct", false}, {"/sys/fs/cgroup", true}} {
		c.dir = filepath.Join(c.dir, "sluice-test-"+strconv.Itoa(os.Getpid()))
		if c.v2 {
			_ = os.WriteFile(filepath.Join(filepath.Dir(c.dir), "cgroup.subtree_control"), []byte("+cpu"), 0o600) // it may be so already
		}
		if os.Mkdir(c.dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			for end := time.Now().Add(time.Minute); os.Remove(c.dir) != nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Errorf("%s can't be removed", c.dir)
					return
				}
			}
		})
		if c.set("max") == nil {
			return c
		}
	}
	t.Skip("no cgroup can be made here that bounds CPU time: /sys/fs/cgroup is read-only, or lacks the cpu controller")
	return quotaGroup{}
}

// set gives it so many CPUs, or "max".
func (c quotaGroup) set(quota string) error {
	if n, err := strconv.Atoi(quota); err == nil {
		quota = strconv.Itoa(n * 100_000) // of the default period of 100 ms
	}
	if c.v2 {
		return os.WriteFile(filepath.Join(c.dir, "cpu.max"), []byte(quota), 0o600)
	}
	if quota == "max" {
		quota = "-1"
	}
	return os.WriteFile(filepath.Join(c.dir, "cpu.cfs_quota_us"), []byte(quota), 0o600)
}

// A process uses what its quota gives, and follows as that is changed.
func TestC11FollowsACgroup(t *testing.T) {
	all := runtime.NumCPU()
	c := newCgroup(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "PROCS_FOLLOWER=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if err := os.WriteFile(filepath.Join(c.dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	says := make(chan string)
	go func() {
		defer close(says)
		for s := bufio.NewScanner(out); s.Scan(); {
			says <- s.Text()
		}
	}()
	last := ""
	for i, step := range []struct {
		quota string
		want  int
	}{{strconv.Itoa(all), all}, {"1", 1}, {strconv.Itoa(all), all}, {"max", max(1, all/2)}} {
		if err := c.set(step.quota); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			_, _ = in.Write([]byte("go\n"))
		}
		for want, late := strconv.Itoa(step.want), time.After(30*time.Second); strings.TrimSpace(last) != want; {
			select {
			case last = <-says:
			case <-late:
				t.Fatalf("with a quota of %s it runs on %s, want %s", step.quota, last, want)
			}
		}
	}
	_ = in.Close()
	for range says { // until it has ended
	}
}
