package standalone

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A quickstart removes what killed ones have left: neither what one that runs has, nor what is new, nor anything else.
func TestEventsOfKilledQuickstartsAreRemoved(t *testing.T) {
	in, other := t.TempDir(), t.TempDir()
	runs, err := newTemporary(in)
	if err != nil {
		t.Fatal(err)
	}
	mkdir := func(name string) string {
		dir := filepath.Join(in, name)
		if err := os.MkdirAll(filepath.Join(dir, "default", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	left, fresh, another := mkdir(temporaryEvents+"left"), mkdir(temporaryEvents+"new"), mkdir("another")
	link := filepath.Join(in, temporaryEvents+"link")
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * youngest)
	for _, dir := range []string{runs.dir, left, another, other} {
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	next, err := newTemporary(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what a killed one has left: %v", err)
	}
	for _, dir := range []string{runs.dir, next.dir, fresh, another, link, other} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(other); err != nil || len(entries) > 0 {
		t.Errorf("where a link leads to there is %v, %v", entries, err)
	}
	for _, one := range []*temporary{runs, next} {
		if err := one.remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(one.dir); !os.IsNotExist(err) {
			t.Error(err)
		}
	}
}
