package replica

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// limited is a world with limits, on a machine that can hold them.
func limited(t *testing.T, resource string, l Limits, appDoes string) *world {
	t.Helper()
	g := FindCgroups()
	if !g.Limit(resource) {
		t.Skipf("this machine doesn't allow a %s cgroup here", resource)
	}
	w := newWorld(t, appDoes)
	w.spec.Cgroups, w.spec.App.Limits = g, l
	return w
}

// made are the cgroups of w's replica.
func (w *world) made() []string { return w.spec.Cgroups.named(prefix + strconv.Itoa(w.r.PID()) + "-*") }

func TestQ1LimitOfMemoryKills(t *testing.T) {
	t.Parallel()
	w := limited(t, "memory", Limits{Memory: 32 << 20, MemoryText: "32Mi"}, "eat listen")
	w.spec.Sidecars = []Container{w.shell("sidecar", "echo begins; exec sleep 1000")}
	w.start()
	for n := range 2 {
		if e := w.await(n+1, "it is killed", kind(Exited, App)); e.Status != "OOMKilled: over its limit of 32Mi" || e.RestartIn == 0 {
			t.Errorf("%+v", e)
		}
	}
	for _, e := range w.all() {
		if e.Process != App && e.Kind == Exited || e.Kind == Failed {
			t.Errorf("%+v", e)
		}
	}
	w.r.Kill()
	<-w.r.Done()
	if left := w.made(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// An app that fails within its limit is not said to have broken it.
func TestQ1LimitOfMemoryThatIsKept(t *testing.T) {
	t.Parallel()
	w := limited(t, "memory", Limits{Memory: 1 << 30, MemoryText: "1Gi"}, "eat crash")
	w.start()
	if e := w.await(1, "it ends", kind(Exited, App)); e.Status != "exit status 7" {
		t.Errorf("%+v", e)
	}
}

func TestQ1LimitOfCPU(t *testing.T) {
	t.Parallel()
	w := limited(t, "cpu", Limits{CPU: 250}, "fork listen")
	w.start()
	w.await(2, "the app and what it started run", line(App, "app runs"))
	groups := w.made()
	if len(groups) != 1 {
		t.Fatalf("%q", groups)
	}
	file, want := "cpu.cfs_quota_us", "25000"
	if w.spec.Cgroups.V2 {
		file, want = "cpu.max", "25000 100000"
	}
	if got := strings.Join(words(groups[0], file), " "); got != want {
		t.Errorf("%s is %s, want %s", file, got, want)
	}
	app := strconv.Itoa(w.await(1, "its process", kind(Started, App)).PID)
	w.eventually("the app and what it started are in it", func() bool {
		in := words(groups[0], "cgroup.procs")
		return len(in) == 2 && slices.Contains(in, app)
	})
	w.r.Stop()
	<-w.r.Done()
	if left := w.made(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A replica's cgroups go with it, though its supervisor is killed.
func TestQ1LimitsGoWithAReplicaThatIsKilled(t *testing.T) {
	t.Parallel()
	w := limited(t, "cpu", Limits{CPU: 1000}, "listen")
	w.start()
	w.await(1, "the app runs", line(App, "app runs"))
	if len(w.made()) != 1 {
		t.Errorf("%q", w.made())
	}
	if err := syscall.Kill(w.r.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-w.r.Done()
	if left := w.made(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What is left of processes that are gone is swept away, and nothing else is.
func TestQ1LeftoverCgroupsAreSwept(t *testing.T) {
	in := t.TempDir()
	gone := filepath.Join(in, prefix+"2147483647-1") // above any PID: proc_sys_kernel(5), pid_max
	stays := []string{filepath.Join(in, prefix+strconv.Itoa(os.Getpid())+"-1"), filepath.Join(in, prefix+"x"), filepath.Join(in, "other")}
	for _, dir := range append(stays, gone) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	Cgroups{CPU: in}.sweep()
	left, _ := filepath.Glob(in + "/*")
	slices.Sort(stays)
	if !slices.Equal(left, stays) {
		t.Errorf("%q, want %q", left, stays)
	}
}

func TestQ1SettingsOfCgroups(t *testing.T) {
	v1, v2 := Cgroups{Memory: "/m", CPU: "/c"}, Cgroups{Memory: "/u", CPU: "/u", V2: true}
	for _, c := range []struct {
		in   Cgroups
		l    Limits
		want []setting
	}{
		{v1, Limits{}, nil},
		{Cgroups{}, Limits{Memory: 1, CPU: 1}, nil},
		{v1, Limits{Memory: 128 << 20, CPU: 500}, []setting{
			{"/m", "memory.limit_in_bytes", "134217728", false},
			{"/m", "memory.memsw.limit_in_bytes", "134217728", true},
			{"/c", "cpu.cfs_period_us", "100000", false},
			{"/c", "cpu.cfs_quota_us", "50000", true},
		}},
		{v2, Limits{Memory: 1e9, CPU: 2000}, []setting{
			{"/u", "memory.max", "1000000000", false},
			{"/u", "memory.swap.max", "0", true},
			{"/u", "memory.oom.group", "1", true},
			{"/u", "cpu.max", "200000 100000", false},
		}},
		{v2, Limits{CPU: 1}, []setting{{"/u", "cpu.max", "1000 100000", false}}},
		{Cgroups{CPU: "/u", V2: true}, Limits{Memory: 1}, nil},
	} {
		if got := c.in.settings(c.l); !slices.Equal(got, c.want) {
			t.Errorf("%+v in %+v:\ngot  %v\nwant %v", c.l, c.in, got, c.want)
		}
	}
}

// A program that can't be started leaves no cgroup.
func TestQ1LimitsOfAProgramThatIsMissing(t *testing.T) {
	t.Parallel()
	w := limited(t, "cpu", Limits{CPU: 1000}, "listen")
	w.spec.App.Path = "/no/such/app"
	w.start()
	w.await(2, "it fails", kind(Failed, App))
	w.eventually("its cgroups are gone", func() bool { return len(w.made()) == 0 })
}
