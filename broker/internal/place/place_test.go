package place

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// A place is what a set of numbers says, through restarts, lost marks and a log that has lost its end.
func TestPlaceAgainstModel(t *testing.T) {
	dir := inMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "place")
		low := rapid.Uint64Range(1, 200).Draw(t, "low")
		p, err := Create(path, low)
		if err != nil {
			t.Fatal(err)
		}
		next := low
		done, flushed := map[uint64]bool{}, map[uint64]bool{}
		reopen := func(next uint64) {
			p.closeFile()
			if p, err = Open(path, next); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				first := low
				for done[first] {
					first++
				}
				if got := p.Low(); got != first {
					t.Fatalf("Low = %d, want %d", got, first)
				}
				for seq := low; seq < next+70; seq++ {
					if p.Done(seq) != done[seq] {
						t.Fatalf("Done(%d) = %v", seq, p.Done(seq))
					}
				}
			},
			"mark": func(t *rapid.T) {
				from := rapid.Uint64Range(low, next+100).Draw(t, "from")
				to := from + rapid.Uint64Range(0, 150).Draw(t, "count")
				p.Mark(from, to)
				for ; from < to; from++ {
					done[from] = true
				}
				next = max(next, to)
			},
			"flush": func(t *rapid.T) {
				if err := p.Flush(); err != nil {
					t.Fatal(err)
				}
				flushed = maps.Clone(done)
			},
			"rewrite": func(t *rapid.T) {
				p.stale = true
				if err := p.Flush(); err != nil {
					t.Fatal(err)
				}
				flushed = maps.Clone(done)
			},
			"killed": func(t *rapid.T) {
				reopen(next)
				done = maps.Clone(flushed)
			},
			"closed": func(t *rapid.T) {
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				p.file = nil
				reopen(next)
				flushed = maps.Clone(done)
			},
			"log has lost its end": func(t *rapid.T) {
				next = rapid.Uint64Range(low, next).Draw(t, "next")
				for range 2 { // it must not come back
					reopen(next)
				}
				done = maps.Clone(flushed)
				maps.DeleteFunc(done, func(seq uint64, _ bool) bool { return seq >= next })
				flushed = maps.Clone(done)
			},
		})
		p.closeFile()
	})
}

// inMemory returns a directory in which fsync takes no time, where there is one.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "place")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Every prefix of a file, and every flipped bit, leaves marks that were made in that order, or is told.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "place")
	p, err := Create(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(0); i < 4; i++ {
		p.Mark(20+10*i, 25+10*i)
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	snapshot := int(p.snapshot)
	p.closeFile()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(content []byte, at int) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Open(path, 1000)
		if at < snapshot {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("damage at %d: %v", at, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("damage at %d: %v", at, err)
		}
		defer p.closeFile()
		missing := false
		for i := uint64(0); i < 4; i++ {
			some := p.Done(20 + 10*i)
			for seq := 20 + 10*i; seq < 30+10*i; seq++ {
				if want := some && seq < 25+10*i; p.Done(seq) != want {
					t.Fatalf("damage at %d: Done(%d) = %v", at, seq, !want)
				}
			}
			if missing && some {
				t.Fatalf("damage at %d: a later frame counts", at)
			}
			missing = missing || !some
		}
		// What comes next is read with what was intact.
		p.Mark(11, 12)
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(path, 1000)
		if err != nil {
			t.Fatal(err)
		}
		defer again.closeFile()
		if !again.Done(11) || again.Done(20) != p.Done(20) || again.Done(50) != p.Done(50) {
			t.Fatalf("damage at %d: after the next flush the place is another", at)
		}
	}
	for n := range whole {
		check(whole[:n], n)
		for bit := range 8 {
			damaged := append([]byte(nil), whole...)
			damaged[n] ^= 1 << bit
			check(damaged, n)
		}
	}
}

// A file is replaced when it has grown, and when a write has failed.
func TestFileStaysSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "place")
	p, err := Create(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(2); seq < 200_000; seq += 2 {
		p.Mark(seq, seq+1)
		if seq%20 == 0 {
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if limit := int64(slack + 3*200_000/8); p.size > limit {
			t.Fatalf("the file has %d bytes", p.size)
		}
	}
	p.file.Close()
	p.Mark(1, 2)
	if err := p.Flush(); err == nil {
		t.Fatal("a closed file could be written")
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	low := p.Low()
	p.closeFile()
	if p, err = Open(path, 200_000); err != nil || p.Low() != low || low != 3 {
		t.Fatalf("low is %d after a failed write, %v", p.Low(), err)
	}
	p.closeFile()
}
