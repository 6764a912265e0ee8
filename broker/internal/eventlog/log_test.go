package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
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

func mustAppend(t testing.TB, l *Log, records ...string) uint64 {
	t.Helper()
	var b [][]byte
	for _, r := range records {
		b = append(b, []byte(r))
	}
	first, err := l.Append(t.Context(), b...)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// rest returns what a Reader has until the end of the log.
func rest(t testing.TB, r *Reader) (records []string) {
	t.Helper()
	for {
		_, record, err := r.Next()
		if errors.Is(err, ErrNotYet) {
			return records
		} else if err != nil {
			t.Fatal(err)
		}
		records = append(records, string(record))
	}
}

// eventually waits for what the log's goroutine does by itself.
func eventually(t testing.TB, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within a minute")
		}
	}
}

func TestAppendAndRead(t *testing.T) {
	dir := t.TempDir()
	l, _ := mustOpen(t, dir, Config{SegmentBytes: minSegment})
	for i := 1; i <= 100; i += 2 {
		if first := mustAppend(t, l, fmt.Sprint("record ", i), strings.Repeat("x", i)); first != uint64(i) {
			t.Fatalf("Append = %d, want %d", first, i)
		}
	}
	check := func() {
		t.Helper()
		r := l.Reader(0)
		for i := uint64(1); i <= 100; i++ {
			want := strings.Repeat("x", int(i)-1)
			if i%2 == 1 {
				want = fmt.Sprint("record ", i)
			}
			if seq, got, err := r.Next(); seq != i || err != nil || string(got) != want {
				t.Fatalf("Next = %d, %q, %v", seq, got, err)
			}
			if got, err := l.Read(i, nil); err != nil || string(got) != want {
				t.Fatalf("Read(%d) = %q, %v", i, got, err)
			}
			if seq, got, err := l.Reader(i).Next(); seq != i || err != nil || string(got) != want {
				t.Fatalf("Reader(%d).Next = %d, %q, %v", i, seq, got, err)
			}
		}
		if left := rest(t, r); left != nil {
			t.Fatalf("there are more records: %q", left)
		}
		if s := r.Skipped(); s != (Skipped{}) {
			t.Errorf("Skipped = %+v", s)
		}
	}
	check()
	if s := l.Stats(); s.First != 1 || s.Next != 101 || s.Segments < 2 || s.Records != 100 || s.Writes != 50 || s.Bytes < 5000 {
		t.Errorf("Stats = %+v", s)
	}
	mustClose(t, l)
	l, r := mustOpen(t, dir, Config{})
	defer mustClose(t, l)
	if r.Records != 100 || len(r.Problems) > 0 || r.Cut > 0 {
		t.Errorf("Recovery = %+v", r)
	}
	check()
}

func TestErrorsOfReading(t *testing.T) {
	l, _ := mustOpenDisk(t, newMemDisk(), Config{SegmentBytes: minSegment})
	r := l.Reader(1)
	for range 20 {
		mustAppend(t, l, strings.Repeat("x", 1000))
	}
	l.TrimTo(11)
	eventually(t, func() bool { first, _ := l.Bounds(); return first == 11 })
	if _, err := l.Read(10, nil); !errors.Is(err, ErrGone) {
		t.Errorf("Read of a trimmed record: %v", err)
	}
	if _, err := l.Read(21, nil); !errors.Is(err, ErrNotYet) {
		t.Errorf("Read of a record to come: %v", err)
	}
	if seq, _, err := r.Next(); seq != 11 || err != nil {
		t.Errorf("Next = %d, %v", seq, err)
	}
	if s := r.Skipped(); s != (Skipped{Trimmed: 10}) {
		t.Errorf("Skipped = %+v", s)
	}
	if seq, _, err := l.Reader(1000).Next(); !errors.Is(err, ErrNotYet) {
		t.Errorf("Next of a Reader after the end = %d, %v", seq, err)
	}
	mustClose(t, l)
	if _, err := l.Read(11, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Read of a closed log: %v", err)
	}
	for {
		if _, _, err := r.Next(); errors.Is(err, ErrClosed) {
			break
		} else if err != nil {
			t.Errorf("Next of a closed log: %v", err)
		}
	}
	if _, err := l.Append(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Append to a closed log: %v", err)
	}
	if err := l.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	<-l.Appended()
}

// A Reader whose segment is deleted goes on with the next one.
func TestReaderOfADeletedSegment(t *testing.T) {
	l, _ := mustOpenDisk(t, newMemDisk(), Config{SegmentBytes: 1 << 20})
	defer mustClose(t, l)
	r := l.Reader(1)
	for i := range 300 {
		mustAppend(t, l, fmt.Sprint(i, strings.Repeat("x", 10000)))
	}
	if seq, _, err := r.Next(); seq != 1 || err != nil {
		t.Fatalf("Next = %d, %v", seq, err)
	}
	l.TrimTo(301)
	eventually(t, func() bool { return l.Stats().Segments == 1 })
	n := len(rest(t, r)) // has what was in the buffer, besides
	if s := r.Skipped(); s.Corrupt > 0 || s.Trimmed == 0 || uint64(n)+s.Trimmed != 299 {
		t.Errorf("%d records, Skipped = %+v", n, s)
	}
}

func TestLimits(t *testing.T) {
	l, _ := mustOpenDisk(t, newMemDisk(), Config{SegmentBytes: minSegment, MaxRecord: 1000})
	defer mustClose(t, l)
	for _, c := range []struct {
		records []string
		want    string
	}{
		{[]string{strings.Repeat("x", 1001)}, "too large for the log: a record has 1001 bytes, 1000 are allowed"},
		{
			[]string{strings.Repeat("x", 1000), strings.Repeat("x", 1000), strings.Repeat("x", 1000), strings.Repeat("x", 1000)},
			"too large for the log: 4 records have 4048 bytes together, a segment has room for 3072",
		},
	} {
		var b [][]byte
		for _, r := range c.records {
			b = append(b, []byte(r))
		}
		if _, err := l.Append(t.Context(), b...); !errors.Is(err, ErrTooLarge) || err.Error() != c.want {
			t.Errorf("Append: %v, want %s", err, c.want)
		}
	}
	if first := mustAppend(t, l); first != 1 {
		t.Errorf("Append of nothing = %d", first)
	}
	if first := mustAppend(t, l, strings.Repeat("x", 1000), ""); first != 1 {
		t.Errorf("Append = %d", first)
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{SegmentBytes: 100}, "a segment of the log should have 4096 to 1073741824 bytes, not 100"},
		{Config{SegmentBytes: minSegment, MaxBytes: 5000}, "the log may have 5000 bytes: it needs room for two segments of 4096 bytes"},
		{Config{MaxAge: -1}, "records of the log are kept for -1ns: it should not be negative"},
		{Config{SegmentBytes: minSegment, MaxRecord: 5000}, "a record of the log may have 5000 bytes: a segment has room for 3032"},
	} {
		if _, err := c.config.withDefaults(); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v, want %s", c.config, err, c.want)
		}
	}
}

// gate makes syncs of segments wait.
type gate struct {
	entered chan struct{}
	open    chan error
}

func closeGate(d *memDisk) gate {
	g := gate{make(chan struct{}), make(chan error)}
	d.fail(func(op, name string) error {
		if op != "sync" || strings.HasSuffix(name, temporary) {
			return nil
		}
		g.entered <- struct{}{}
		return <-g.open
	})
	return g
}

func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		l, _ := mustOpenDisk(t, d, Config{})
		g := closeGate(d)
		var callers sync.WaitGroup
		var mu sync.Mutex
		got := map[uint64]string{}
		add := func(n int) {
			for range n {
				callers.Go(func() {
					record := fmt.Sprint(rand.Uint64())
					seq := mustAppend(t, l, record)
					mu.Lock()
					defer mu.Unlock()
					got[seq] = record
				})
			}
		}
		more := l.Appended()
		r := l.Reader(1)
		add(1)
		<-g.entered // a lone caller's record is synced at once
		add(100)
		synctest.Wait()
		// Nothing is seen before it is durable.
		if _, next := l.Bounds(); next != 1 {
			t.Errorf("the next record is %d while the first one is being synced", next)
		}
		if _, _, err := r.Next(); !errors.Is(err, ErrNotYet) {
			t.Errorf("Next: %v", err)
		}
		if _, err := l.Read(1, nil); !errors.Is(err, ErrNotYet) {
			t.Errorf("Read: %v", err)
		}
		select {
		case <-more:
			t.Error("Appended before anything was")
		default:
		}
		g.open <- nil
		<-g.entered
		if s := l.Stats(); s.Next != 2 {
			t.Errorf("Stats = %+v", s)
		}
		<-more
		g.open <- nil
		callers.Wait()
		d.fail(nil)
		if s := l.Stats(); s.Writes != 2 || s.Records != 101 {
			t.Errorf("Stats = %+v", s)
		}
		for i, record := range rest(t, r) {
			if got[uint64(i+1)] != record {
				t.Errorf("record %d is %s, %s was acknowledged", i+1, record, got[uint64(i+1)])
			}
		}
		mustClose(t, l)
	})
}

// Callers wait when as much as one write may have is waiting already, and can be cancelled.
func TestBoundOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		l, _ := mustOpenDisk(t, d, Config{MaxRecord: 2 << 20})
		g := closeGate(d)
		var callers sync.WaitGroup
		record := strings.Repeat("x", 1<<20)
		callers.Go(func() { mustAppend(t, l, record) })
		<-g.entered
		for range 5 {
			callers.Go(func() { mustAppend(t, l, record) })
		}
		synctest.Wait()
		l.collecting.Lock()
		if n := len(l.group.buf); n > maxGroup || n < maxGroup-2<<20 {
			t.Errorf("%d bytes wait", n)
		}
		l.collecting.Unlock()
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("the client is gone")
		callers.Go(func() {
			if _, err := l.Append(ctx, []byte(record)); !errors.Is(err, reason) {
				t.Errorf("Append: %v", err)
			}
		})
		synctest.Wait()
		cancel(reason)
		synctest.Wait()
		for range 3 {
			g.open <- nil
			if l.Stats().Records < 4 {
				<-g.entered
			}
			synctest.Wait()
		}
		callers.Wait()
		d.fail(nil)
		if s := l.Stats(); s.Records != 6 || s.Writes != 3 {
			t.Errorf("Stats = %+v", s)
		}
		if _, err := l.Append(ctx, []byte("x")); !errors.Is(err, reason) {
			t.Errorf("Append with a context that has ended: %v", err)
		}
		mustClose(t, l)
	})
}

// After a failed sync, the segment isn't written to again, even if the next sync would succeed.
func TestFailedSync(t *testing.T) {
	d := newMemDisk()
	l, _ := mustOpenDisk(t, d, Config{})
	mustAppend(t, l, "a", "b")
	failure := errors.New("input/output error")
	d.fail(func(op, _ string) error {
		if op == "sync" {
			return failure
		}
		return nil
	})
	more := l.Appended()
	for range 2 {
		if _, err := l.Append(t.Context(), []byte("lost")); !errors.Is(err, failure) {
			t.Fatalf("Append: %v", err)
		}
	}
	if s := l.Stats(); s.Failures != 2 || !errors.Is(s.Failure, failure) || s.Next != 3 {
		t.Errorf("Stats = %+v", s)
	}
	select {
	case <-more:
		t.Error("Appended after a failure")
	default:
	}
	var written []string
	d.fail(func(op, name string) error {
		if op == "write" {
			written = append(written, name)
		}
		return nil
	})
	if seq := mustAppend(t, l, "c"); seq != 3 {
		t.Errorf("Append = %d", seq)
	}
	for _, name := range written {
		if name == segmentName(1) {
			t.Error("the segment whose sync has failed was written to")
		}
	}
	d.fail(nil)
	r := l.Reader(1)
	for _, log := range []*Log{l, nil} {
		if log == nil {
			mustClose(t, l)
			log, recovery := mustOpenDisk(t, d.after(true, rand.New(rand.NewPCG(1, 1))), Config{})
			if len(recovery.Problems) > 0 {
				t.Errorf("Recovery = %+v", recovery)
			}
			r = log.Reader(1)
			defer mustClose(t, log)
		}
		if got := rest(t, r); strings.Join(got, "") != "abc" {
			t.Errorf("records %q", got)
		}
	}
}

func TestDiskIsFull(t *testing.T) {
	d := newMemDisk()
	l, _ := mustOpenDisk(t, d, Config{SegmentBytes: minSegment})
	defer mustClose(t, l)
	a, b := strings.Repeat("a", 2000), strings.Repeat("b", 2000) // each needs a segment
	mustAppend(t, l, a)
	for _, op := range []string{"write", "create"} {
		d.fail(func(o, _ string) error {
			if o == op {
				return &os.PathError{Op: op, Path: "x.log", Err: syscall.ENOSPC}
			}
			return nil
		})
		for range 3 {
			if _, err := l.Append(t.Context(), []byte(b)); !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Append: %v", err)
			}
			if got := rest(t, l.Reader(1)); got[0] != a {
				t.Errorf("records %q", got)
			}
		}
		d.fail(nil)
		mustAppend(t, l, b)
	}
	if got := rest(t, l.Reader(1)); strings.Join(got, "") != a+b+b {
		t.Errorf("records %q", got)
	}
}

// So that a log can be read whose disk fails or is full, Open doesn't fail then.
func TestOpenOnAFailingDisk(t *testing.T) {
	d := newMemDisk()
	l, _ := mustOpenDisk(t, d, Config{})
	mustAppend(t, l, "a")
	d = d.after(false, nil)
	mustClose(t, l)
	d.fail(func(op, _ string) error {
		if op == "write" || op == "sync" {
			return syscall.ENOSPC
		}
		return nil
	})
	l, r := mustOpenDisk(t, d, Config{})
	if want := segmentName(1) + ": the last write may not be on the disk: no space left on device"; len(r.Problems) != 1 || r.Problems[0] != want {
		t.Errorf("Recovery = %+v, want %s", r, want)
	}
	if _, err := l.Append(t.Context(), []byte("lost")); !errors.Is(err, ErrFull) {
		t.Errorf("Append: %v", err)
	}
	d.fail(nil)
	mustAppend(t, l, "b")
	if got := rest(t, l.Reader(1)); strings.Join(got, "") != "ab" {
		t.Errorf("records %q", got)
	}
	mustClose(t, l)
}

func TestMaxBytes(t *testing.T) {
	l, _ := mustOpenDisk(t, newMemDisk(), Config{SegmentBytes: minSegment, MaxBytes: 5 * minSegment})
	defer mustClose(t, l)
	for i := range 50 { // two per segment
		mustAppend(t, l, strings.Repeat("x", 1000))
		if s := l.Stats(); s.Bytes > 5*minSegment+minSegment {
			t.Fatalf("after %d records: Stats = %+v", i, s)
		}
	}
	l.TrimTo(0)
	eventually(t, func() bool { return l.Stats().Bytes <= 5*minSegment })
	s := l.Stats()
	if s.Dropped != s.First-1 || s.First < 30 {
		t.Errorf("Stats = %+v", s)
	}
	// What was trimmed isn't counted.
	dropped := s.Dropped
	l.TrimTo(s.Next)
	mustAppend(t, l, "x")
	eventually(t, func() bool { return l.Stats().Segments == 1 })
	if s := l.Stats(); s.Dropped != dropped {
		t.Errorf("Stats = %+v", s)
	}
}

func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemDisk()
		l, _ := mustOpenDisk(t, d, Config{MaxAge: 8 * time.Hour})
		start := time.Now()
		appended := map[uint64]time.Duration{}
		for time.Since(start) < 48*time.Hour {
			appended[mustAppend(t, l, "x")] = time.Since(start)
			time.Sleep(10 * time.Minute)
			first, _ := l.Bounds()
			if age := time.Since(start) - appended[first]; age > 9*time.Hour+10*time.Minute {
				t.Fatalf("record %d is %v old", first, age)
			}
			if first > 1 {
				if age := time.Since(start) - appended[first-1]; age < 8*time.Hour {
					t.Fatalf("record %d was dropped after %v", first-1, age)
				}
			}
		}
		time.Sleep(10 * time.Hour)
		first, next := l.Bounds()
		if s := l.Stats(); first != next || s.Dropped != next-1 || s.Segments != 1 {
			t.Errorf("Stats = %+v", s)
		}
		mustClose(t, l)
		l, _ = mustOpenDisk(t, d, Config{})
		if f, n := l.Bounds(); f != first || n != next {
			t.Errorf("Bounds = %d, %d, want %d, %d", f, n, first, next)
		}
		mustClose(t, l)
	})
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	l, _ := mustOpen(t, t.TempDir(), Config{SegmentBytes: 64 << 10})
	const callers, each = 8, 100
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				record := bytes.Repeat([]byte("x"), rand.IntN(2000))
				seq, err := l.Append(t.Context(), record)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := l.Read(seq, nil); !errors.Is(err, ErrGone) && (err != nil || len(got) != len(record)) {
					t.Errorf("Read(%d) = %d bytes, %v, want %d", seq, len(got), err, len(record))
				}
			}
		})
	}
	for range 3 {
		group.Go(func() {
			r := l.Reader(1)
			for last := uint64(0); last < callers*each; {
				more := l.Appended()
				seq, _, err := r.Next()
				if errors.Is(err, ErrNotYet) {
					<-more
					continue
				}
				skipped := r.Skipped()
				if err != nil || seq != last+1+skipped.Trimmed || skipped.Corrupt > 0 {
					t.Errorf("Next = %d, %v after %d, Skipped = %+v", seq, err, last, skipped)
					return
				}
				if last = seq; seq%50 == 0 {
					l.TrimTo(seq / 2)
				}
			}
		})
	}
	group.Wait()
	mustClose(t, l)
}
