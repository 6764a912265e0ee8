package eventlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A file system that is really full. It needs the right to mount one.
func TestFileSystemIsFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no tmpfs can be mounted: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	l, _ := mustOpen(t, filepath.Join(dir, "log"), Config{SegmentBytes: 512 << 10})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	record := bytes.Repeat([]byte("x"), 10_000)
	n := uint64(0)
	for ; ; n++ {
		if _, err := l.Append(t.Context(), record); errors.Is(err, ErrFull) {
			break
		} else if err != nil || n > 1000 {
			t.Fatalf("Append of record %d: %v", n+1, err)
		}
	}
	for range 10 {
		if _, err := l.Append(t.Context(), record); err == nil {
			n++ // the end of a segment, which is truncated, gives room for it
		} else if !errors.Is(err, ErrFull) {
			t.Fatalf("Append to a full file system: %v", err)
		}
	}
	check := func() {
		t.Helper()
		if got := len(rest(t, l.Reader(1))); uint64(got) != n {
			t.Errorf("%d records, %d were acknowledged", got, n)
		}
	}
	check()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if first := mustAppend(t, l, string(record)); first != n+1 {
			t.Errorf("Append = %d, want %d", first, n+1)
		}
		n++
	}
	check()
	mustClose(t, l)
	l, r := mustOpen(t, filepath.Join(dir, "log"), Config{SegmentBytes: 512 << 10})
	if len(r.Problems) > 0 {
		t.Errorf("Recovery = %+v", r)
	}
	check()
	mustClose(t, l)
}
