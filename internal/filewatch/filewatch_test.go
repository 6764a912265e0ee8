package filewatch

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type report struct {
	data string
	err  error
}

// watch runs Watch until the test ends.
func watch(t *testing.T, path string) <-chan report {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c, ended := make(chan report, 16), make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, path, time.Millisecond, func(data []byte, err error) { c <- report{string(data), err} })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

func next(t *testing.T, c <-chan report) report {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing reported")
		return report{}
	}
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c <-chan report, data string) {
	t.Helper()
	if v := next(t, c); v.err != nil || v.data != data {
		t.Fatalf("reported %q, %v; want %q", v.data, v.err, data)
	}
}

func TestWrittenInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "one")
	c := watch(t, path)
	expect(t, c, "one")
	write(t, path, "two")
	expect(t, c, "two")
}

func TestRenamedOver(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "one")
	c := watch(t, path)
	expect(t, c, "one")
	write(t, path+".new", "two")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "two")
}

// TestVolumeLinks swaps ..data as the kubelet's atomic writer does.
func TestVolumeLinks(t *testing.T) {
	dir := t.TempDir()
	link := func(to, name string) {
		t.Helper()
		tmp := filepath.Join(dir, "tmp")
		if err := os.Symlink(to, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"..1", "..2"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, d, "f"), "content of "+d)
	}
	link("..1", "..data")
	link("..data/f", "f")
	c := watch(t, filepath.Join(dir, "f"))
	expect(t, c, "content of ..1")
	link("..2", "..data")
	expect(t, c, "content of ..2")
}

func TestMissingAndBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	c := watch(t, path)
	if v := next(t, c); !os.IsNotExist(v.err) || v.data != "" {
		t.Fatalf("reported %+v", v)
	}
	write(t, path, "back")
	expect(t, c, "back")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if v := next(t, c); v.err == nil || !os.IsNotExist(v.err) {
		t.Fatalf("reported %+v; want %v", v, fs.ErrNotExist)
	}
}

func TestSameContentIsNotTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "one")
	c := watch(t, path)
	expect(t, c, "one")
	for range 20 {
		write(t, path+".new", "one")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path+".new", "two")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "two")
}
