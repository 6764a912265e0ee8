package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func configMap(name string) Object {
	o := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{"n": "1"}}}
	o.SetAPIVersion("v1")
	o.SetKind("ConfigMap")
	o.SetName(name)
	return Object{o, name == "y"}
}

func TestStateSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, path)
	if s, err := d.Load(); err != nil || len(s.Objects) != 0 {
		t.Fatal(s, err)
	}
	if err := d.Save(State{Version: 7, Objects: []Object{configMap("x"), configMap("y")}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = open(t, path)
	defer d.Close()
	s, err := d.Load()
	if err != nil || s.Version != 7 || len(s.Objects) != 2 || s.Objects[1].GetName() != "y" || s.Objects[0].FromFile || !s.Objects[1].FromFile {
		t.Fatal(s, err)
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 2 { // the state and the lock: no temporary file is left
		t.Error(entries, err)
	}
	for _, name := range []string{"", stateFile} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q: %v: others may read secrets: %v", name, err, info.Mode())
		}
	}
}

// A save of what is there already costs nothing, whatever else has changed; deep objects don't make the file grow with the
// square of their depth.
func TestSaveWritesWhatHasChanged(t *testing.T) {
	d := open(t, t.TempDir())
	defer d.Close()
	name := filepath.Join(d.Path(), stateFile)
	x, y := configMap("x"), configMap("y")
	if err := os.WriteFile(name+".new", []byte(strings.Repeat("what a crash left ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		objects []Object
		written bool
	}{
		{nil, true},
		{[]Object{x, y}, true},
		{[]Object{x, y}, false},
		{[]Object{x, {y.Unstructured, false}}, true},
		{[]Object{x}, true},
		{[]Object{x}, false},
		{[]Object{{x.DeepCopy(), false}}, true},
	} {
		_ = os.Remove(name)
		if err := d.Save(State{Version: 1, Objects: c.objects}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(name); (err == nil) != c.written {
			t.Errorf("%v: %v", c.objects, err)
		}
		if s, err := d.Load(); err != nil || c.written && len(s.Objects) != len(c.objects) {
			t.Errorf("%v: %v %v", c.objects, s, err)
		}
	}
	if entries, err := os.ReadDir(d.Path()); err != nil || len(entries) != 2 {
		t.Errorf("more than the lock and the state: %v %v", entries, err)
	}
	deep := map[string]any{}
	for range 90 {
		deep = map[string]any{"a": deep}
	}
	x = configMap("x")
	x.Object["data"] = deep
	if err := d.Save(State{Objects: []Object{x}}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() > 1000 {
		t.Error(info.Size(), err)
	}
}

func TestOneQuickstartAtATime(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "-state") || !strings.Contains(err.Error(), path) {
		t.Errorf("a second one: %v", err)
	}
	d.Close()
	open(t, path).Close()
}

// Who may write the state makes the quickstart run programs at its next start.
func TestDirectoryThatOthersMayWriteIsRefused(t *testing.T) {
	path := t.TempDir()
	for mode, ok := range map[os.FileMode]bool{0o777: false, 0o777 | os.ModeSticky: false, 0o703: false, 0o775: true, 0o755: true, 0o700: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		d, err := Open(path)
		if (err == nil) != ok || !ok && !strings.Contains(err.Error(), "chmod o-w "+path) {
			t.Errorf("%v: %v", mode, err)
		}
		if err == nil {
			d.Close()
		}
	}
}

func TestBrokenStateIsAnError(t *testing.T) {
	for _, text := range []string{
		"", "{", `{"kind": "List"}`, `{"apiVersion": "quickstart.sluice.dev/v1", "kind": "State", "objects": [{"object": {}}]}`,
		`{"apiVersion": "quickstart.sluice.dev/v2", "kind": "State"}`,
	} {
		path := t.TempDir()
		if err := os.WriteFile(filepath.Join(path, stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d := open(t, path)
		if _, err := d.Load(); err == nil || !strings.Contains(err.Error(), stateFile) {
			t.Errorf("%q: %v", text, err)
		}
		d.Close()
	}
}

func TestDefaultDirectory(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/x")
	if dir, err := Default(); dir != "/x/sluice" || err != nil {
		t.Error(dir, err)
	}
	t.Setenv("XDG_STATE_HOME", "relative") // to be ignored, by the specification
	t.Setenv("HOME", "/home/me")
	if dir, err := Default(); dir != "/home/me/.local/state/sluice" || err != nil {
		t.Error(dir, err)
	}
	t.Setenv("HOME", "")
	if _, err := Default(); err == nil || !strings.Contains(err.Error(), "-state") {
		t.Error(err)
	}
}
