package place

import (
	"os"
	"path/filepath"
	"testing"
)

// Any file is a place, or is told to be damaged; a place that is read is the same when it is read again.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "place")
	p, err := Create(path, 70)
	if err != nil {
		f.Fatal(err)
	}
	p.Mark(70, 71)
	p.Mark(100, 200)
	if err := p.Flush(); err != nil {
		f.Fatal(err)
	}
	p.closeFile()
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:p.snapshot])
	f.Add([]byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "place")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		const next = 150
		p, err := Open(path, next)
		if err != nil {
			return
		}
		defer p.closeFile()
		if p.Low() > next || p.Done(next) {
			t.Fatalf("record %d is done, and the log hasn't got it", next)
		}
		again, err := Open(path, next)
		if err != nil {
			t.Fatal(err)
		}
		defer again.closeFile()
		for seq := uint64(0); seq < next; seq++ {
			if p.Done(seq) != again.Done(seq) {
				t.Fatalf("record %d is done: %v, and then %v", seq, p.Done(seq), again.Done(seq))
			}
		}
	})
}
