package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func mustOpen(t testing.TB, dir string, c Config) (*Log, Recovery) {
	t.Helper()
	l, r, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return l, r
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAppendAndRead(t *testing.T) {
	dir := t.TempDir()
	l, _ := mustOpen(t, dir, Config{SegmentBytes: 8 << 10})
	for i := 1; i <= 100; i += 2 {
		first, err := l.Append(t.Context(), fmt.Appendf(nil, "record %d", i), bytes.Repeat([]byte{byte(i)}, 100))
		if err != nil || first != uint64(i) {
			t.Fatalf("Append = %d, %v", first, err)
		}
	}
	check := func() {
		t.Helper()
		r := l.Reader(0)
		for i := uint64(1); i <= 100; i++ {
			want := bytes.Repeat([]byte{byte(i - 1)}, 100)
			if i%2 == 1 {
				want = fmt.Appendf(nil, "record %d", i)
			}
			if seq, got, err := r.Next(); seq != i || err != nil || !bytes.Equal(got, want) {
				t.Fatalf("Next = %d, %q, %v", seq, got, err)
			}
			if got, err := l.Read(i, nil); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("Read(%d) = %q, %v", i, got, err)
			}
		}
		if _, _, err := r.Next(); !errors.Is(err, ErrNotYet) {
			t.Fatalf("Next at the end: %v", err)
		}
		if s := r.Skipped(); s != (Skipped{}) {
			t.Errorf("Skipped = %+v", s)
		}
	}
	check()
	if s := l.Stats(); s.Segments < 2 || s.Records != 100 || s.Writes != 50 {
		t.Errorf("Stats = %+v", s)
	}
	mustClose(t, l)
	l, r := mustOpen(t, dir, Config{})
	defer mustClose(t, l)
	if r.Records != 100 || len(r.Problems) > 0 {
		t.Errorf("Recovery = %+v", r)
	}
	check()
}
