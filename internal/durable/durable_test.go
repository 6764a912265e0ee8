package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sluice-proxy/sluice/internal/durable"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	lock, err := durable.Lock(dir, "lock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = durable.Lock(dir, "lock")
	if locked, ok := errors.AsType[*durable.Locked](err); !ok || locked.PID != strconv.Itoa(os.Getpid()) {
		t.Errorf("a second lock: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err = durable.Lock(dir, "lock")
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
}

func TestMkdirAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // the second time it is there
		if err := durable.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Error(info, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(filepath.Join(dir, "file", "d")); err == nil {
		t.Error("a directory in a file was made")
	}
}

func TestSyncDirectory(t *testing.T) {
	if err := durable.SyncDirectory(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := durable.SyncDirectory("/none/such"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
