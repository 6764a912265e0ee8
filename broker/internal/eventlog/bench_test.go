package eventlog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

var kibibyte = bytes.Repeat([]byte("x"), 1024)

// What the disk needs for a write of so many KiB at the end of a file, and its sync: beside this BenchmarkAppend is to be read.
func BenchmarkDisk(b *testing.B) {
	for _, n := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprintf("%dKiB", n), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "file"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			data := bytes.Repeat(kibibyte, n)
			for b.Loop() {
				if _, err := f.Write(data); err != nil {
					b.Fatal(err)
				}
				if err := datasync(f); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprintf("%dcallers", callers), func(b *testing.B) {
			l, _ := mustOpen(b, b.TempDir(), Config{MaxBytes: 256 << 20})
			defer mustClose(b, l)
			b.ReportAllocs()
			b.ResetTimer()
			var group sync.WaitGroup
			var n atomic.Int64
			for range callers {
				group.Go(func() {
					for n.Add(1) <= int64(b.N) {
						if _, err := l.Append(b.Context(), kibibyte); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			s := l.Stats()
			b.ReportMetric(float64(s.Records)/float64(s.Writes), "records/write")
		})
	}
}

// filled has n records of 1 KiB.
func filled(b *testing.B, n int) *Log {
	b.Helper()
	l, _ := mustOpen(b, b.TempDir(), Config{})
	batch := make([][]byte, 1)
	batch[0] = kibibyte
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() {
			for range n / 1000 {
				if _, err := l.Append(b.Context(), batch...); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	return l
}

func BenchmarkReader(b *testing.B) {
	const n = 100_000
	l := filled(b, n)
	defer mustClose(b, l)
	r := l.Reader(1)
	b.ReportAllocs()
	b.SetBytes(int64(len(kibibyte)))
	for i := 0; b.Loop(); i++ {
		if i%n == 0 {
			r = l.Reader(1)
		}
		if _, _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	const n = 100_000
	l := filled(b, n)
	defer mustClose(b, l)
	var buf []byte
	b.ReportAllocs()
	for seq := uint64(0); b.Loop(); seq = (seq + 7919) % n {
		var err error
		if buf, err = l.Read(seq+1, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// Opening reads everything.
func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	l := filled(b, n)
	dir := string(l.disk.(directory))
	mustClose(b, l)
	b.SetBytes(n * int64(len(kibibyte)))
	for b.Loop() {
		l, _ := mustOpen(b, dir, Config{})
		mustClose(b, l)
	}
}
