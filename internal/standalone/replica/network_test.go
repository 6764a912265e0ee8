package replica

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sharing has the network of owner shared by the others, as containers do. Each logs its removal; the network is there once up
// has been called.
func (w *world) sharing(owner Process) (removals func() []string, up func()) {
	dir := w.t.TempDir()
	log, there := filepath.Join(dir, "log"), filepath.Join(dir, "there")
	w.spec.Network = Network{Process: owner, Runs: []string{"/bin/cat", there}}
	of := func(p Process, c *Command) {
		c.Joins = p != owner
		c.After = []string{"/bin/sh", "-c", fmt.Sprintf("echo %s >> %s", p, log)}
	}
	of(App, &w.spec.App)
	for _, some := range [][]Container{w.spec.Init, w.spec.Sidecars} {
		for i := range some {
			of(some[i].Process, &some[i].Command)
		}
	}
	return func() []string {
			text, _ := os.ReadFile(log)
			return strings.Fields(string(text))
		}, func() {
			if err := os.WriteFile(there, []byte("true\n"), 0o600); err != nil {
				w.t.Error(err)
			}
		}
}

// slow takes its time to end.
const slow = "trap 'sleep 0.3; exit 4' TERM; echo begins; while :; do sleep 0.02; done"

// Those who share the app's network start once it is there. When the app ends they are started again with it, after all of them
// have been removed, and the app last.
func TestContainersShareTheNetworkOfTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen")
	w.spec.Grace = 20 * time.Second
	w.spec.Sidecars = []Container{w.shell("slow", slow), w.shell("quick", "echo begins; exec sleep 1000")}
	removals, up := w.sharing(App)
	w.start()
	app := w.await(1, "the app runs", kind(Started, App))
	w.await(1, "for a while", line(App, "app runs"))
	for _, e := range w.all() {
		if e.Kind == Started && (e.Process == "slow" || e.Process == "quick") {
			t.Errorf("there is no network yet: %+v", e)
		}
	}
	up()
	w.await(1, "a sidecar runs", line("slow", "begins"))
	w.await(1, "the other, too", line("quick", "begins"))
	w.r.Restart(App, app.PID, time.Minute)
	if e := w.await(1, "the app ends", kind(Exited, App)); e.With != "" {
		t.Errorf("%+v", e)
	}
	for _, p := range []Process{"slow", "quick"} {
		if e := w.await(1, "it ends with the app", kind(Exited, p)); e.With != App || e.RestartIn == 0 {
			t.Errorf("%+v", e)
		}
	}
	w.await(2, "the app runs again", kind(Started, App))
	if got := removals(); !slices.Equal(got, []string{"quick", "slow", "app"}) {
		t.Errorf("removed: %q", got)
	}
	w.await(2, "so does a sidecar", line("slow", "begins"))
	quick := w.await(2, "and the other", kind(Started, "quick"))
	w.r.Restart("quick", quick.PID, time.Minute)
	w.await(3, "it is restarted alone", kind(Started, "quick"))
	w.r.Stop()
	<-w.r.Done()
	if got := removals(); len(got) != 7 || got[3] != "quick" || got[6] != "app" {
		t.Errorf("removed: %q", got)
	}
	for _, e := range w.all() {
		if e.Process == App && e.Kind == Taken {
			t.Errorf("%+v", e)
		}
	}
}

// An init container that stays has the network of what comes after it, another init container too.
func TestContainersShareTheNetworkOfAnInitContainer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen")
	w.spec.Init = []Container{w.shell("owner", "exec sleep 1000"), w.shell("once", "echo begins")}
	w.spec.Init[0].Stays = true
	removals, up := w.sharing("owner")
	w.start()
	owner := w.await(1, "the owner runs", kind(Started, "owner"))
	up()
	w.await(1, "the app runs", line(App, "app runs"))
	if got := removals(); !slices.Equal(got, []string{"once"}) {
		t.Errorf("removed: %q", got)
	}
	w.r.Restart("owner", owner.PID, time.Minute)
	if e := w.await(1, "the app ends with it", kind(Exited, App)); e.With != "owner" {
		t.Errorf("%+v", e)
	}
	w.await(2, "the app runs again", line(App, "app runs"))
	if got := removals(); !slices.Equal(got, []string{"once", "app", "owner"}) {
		t.Errorf("removed: %q", got)
	}
}

// What a killed supervisor leaves is removed in that order, too.
func TestContainersThatShareANetworkGoBeforeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen")
	w.spec.Sidecars = []Container{w.shell("sidecar", "echo begins; exec sleep 1000")}
	removals, up := w.sharing(App)
	up()
	w.start()
	w.await(1, "the sidecar runs", line("sidecar", "begins"))
	p, err := os.FindProcess(w.r.PID())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	<-w.r.Done()
	if got := removals(); !slices.Equal(got, []string{"sidecar", "app"}) {
		t.Errorf("removed: %q", got)
	}
}

// What runs a container is an orphan of its client, as podman's conmon is. It stays when another process of the replica ends.
func TestContainerStaysWhenAnotherEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen")
	monitor := filepath.Join(t.TempDir(), "monitor")
	w.spec.Sidecars = []Container{w.shell("client", "(setsid sh -c 'echo $$ > "+monitor+"; exec sleep 1000' &); echo begins; sleep 1000"), w.shell("other", "exec sleep 1000")}
	w.spec.Sidecars[0].Command.After = []string{"/bin/true"}
	w.start()
	w.await(1, "the client runs", line("client", "begins"))
	var pid string
	w.eventually("so does what it has left", func() bool {
		text, _ := os.ReadFile(monitor)
		pid = strings.TrimSpace(string(text))
		return pid != ""
	})
	w.r.Restart("other", w.await(1, "and another", kind(Started, "other")).PID, time.Minute)
	w.await(2, "which is restarted", kind(Started, "other"))
	if _, err := os.Stat("/proc/" + pid); err != nil {
		t.Error(err)
	}
	w.r.Stop()
	<-w.r.Done()
	if left := w.marked(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
