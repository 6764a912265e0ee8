package replica

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shell is a container that runs script, with the mark of the world.
func (w *world) shell(process Process, script string) Container {
	return Container{Process: process, Command: Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: w.spec.App.Env}}
}

func TestQ1InitContainersRunInOrderAndThenTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen")
	failed := filepath.Join(t.TempDir(), "failed")
	stays := w.shell("init stays", "echo begins; exec sleep 1000")
	stays.Stays = true
	w.spec.Init = []Container{
		w.shell("init one", "echo begins"), stays,
		w.shell("init two", "echo begins; [ -e "+failed+" ] || { touch "+failed+"; echo not yet >&2; exit 3; }"),
	}
	w.spec.Sidecars = []Container{w.shell("sidecar", "echo begins; exec sleep 1000")}
	w.start()
	w.await(1, "the app runs", line(App, "app runs"))
	w.await(1, "the sidecar runs", line("sidecar", "begins"))
	var order []string
	for _, e := range w.all() {
		if e.Process != QueueProxy && (e.Kind == Started || e.Kind == Completed || e.Kind == Exited) {
			order = append(order, string(e.Process)+" "+string(e.Kind))
			if e.Kind == Exited && (e.Text != "not yet" || e.RestartIn != firstRestart) {
				t.Errorf("%+v", e)
			}
		}
	}
	want := []string{
		"init one started", "init one completed", "init stays started",
		"init two started", "init two exited", "init two started", "init two completed", "app started", "sidecar started",
	}
	if !slices.Equal(order, want) {
		t.Errorf("got  %q\nwant %q", order, want)
	}
	w.r.Stop()
	<-w.r.Done()
	if left := w.marked(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Each container goes its own way: when one ends, what it had started goes with it, and the others stay.
func TestQ1ContainersEndByThemselves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "listen fork")
	ended := filepath.Join(t.TempDir(), "ended")
	w.spec.Sidecars = []Container{
		w.shell("short", "until [ -e "+ended+" ]; do sleep 0.01; done; rm "+ended+"; exit 9"), w.shell("long", "sleep 1000 & echo begins; wait"),
	}
	w.start()
	app := w.await(1, "the app runs", kind(Started, App))
	w.await(2, "and what it started", line(App, "app runs"))
	w.await(1, "the other sidecar runs", line("long", "begins"))
	before := len(w.marked())
	if err := os.WriteFile(ended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := w.await(1, "one sidecar ends", kind(Exited, "short")); e.Status != "exit status 9" || e.RestartIn != firstRestart {
		t.Errorf("%+v", e)
	}
	w.await(2, "and starts again", kind(Started, "short"))
	w.r.Restart(App, app.PID, time.Minute)
	w.await(1, "the app ends", kind(Exited, App))
	w.await(2, "and starts again", kind(Started, App))
	w.eventually("as many as before", func() bool { return len(w.marked()) >= before })
	w.r.Restart(App, app.PID, 0) // which is another process's by now, or unused
	w.r.Restart("long", 1, 0)
	for _, e := range w.all() {
		if e.Process == "long" && e.Kind == Exited {
			t.Errorf("%+v", e)
		}
	}
}

// A restart is SIGTERM, and after the grace SIGKILL.
func TestQ1RestartOfAStubbornApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "stubborn listen")
	w.start()
	w.await(1, "the app runs", line(App, "app runs"))
	w.r.Restart(App, w.await(1, "its process", kind(Started, App)).PID, 10*time.Millisecond)
	if e := w.await(1, "it ends", kind(Exited, App)); e.Status != "signal: killed" || e.RestartIn == 0 {
		t.Errorf("%+v", e)
	}
	w.await(2, "another runs", line(App, "app runs"))
}

func TestQ1DirectoryOfAReplicaGoesWithIt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*world){
		"stopped": func(w *world) { w.r.Stop() },
		"killed":  func(w *world) { w.r.Kill() },
		"its supervisor killed": func(w *world) {
			p, err := os.FindProcess(w.r.PID())
			if err == nil {
				err = p.Kill()
			}
			if err != nil {
				w.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "listen")
			w.spec.Dir = filepath.Join(t.TempDir(), "replica")
			if err := os.MkdirAll(filepath.Join(w.spec.Dir, "volume"), 0o700); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.await(1, "the app runs", line(App, "app runs"))
			end(w)
			<-w.r.Done()
			if _, err := os.Stat(w.spec.Dir); !os.IsNotExist(err) {
				t.Errorf("it is still there: %v", err)
			}
		})
	}
}

func TestQ1ContainersNeedNamesOfTheirOwn(t *testing.T) {
	w := newWorld(t, "listen")
	for _, c := range []Container{{Process: App, Command: w.spec.App}, {Command: w.spec.App}, {Process: "x"}} {
		spec := w.spec
		spec.Sidecars = []Container{c}
		if err := spec.Validate(); err == nil || !strings.Contains(err.Error(), "a container of Spec") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
