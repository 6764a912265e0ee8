package loop

import (
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkEcho is of messages on 64 connections, each of which waits for its answer.
func BenchmarkEcho(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			l := newLoop(b, Config{NoEpoll: k.noEpoll})
			var left atomic.Int64
			left.Store(int64(b.N))
			var clients sync.WaitGroup
			b.ReportAllocs()
			for range 64 {
				ours, theirs := k.pair(b)
				echo().add(l, ours)
				clients.Go(func() {
					defer theirs.Close()
					p := make([]byte, 100)
					for left.Add(-1) >= 0 {
						if _, err := theirs.Write(p); err != nil {
							b.Error(err)
							return
						}
						if _, err := io.ReadFull(theirs, p); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
		})
	}
}

// BenchmarkIdle reports what an idle connection holds in Go's memory.
func BenchmarkIdle(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			const conns = 500
			l := newLoop(b, Config{NoEpoll: k.noEpoll})
			ours, theirs := make([]net.Conn, conns), make([]net.Conn, conns)
			for i := range ours {
				ours[i], theirs[i] = k.pair(b)
			}
			before := inUse()
			for i, c := range ours {
				echo().add(l, c)
				ours[i] = nil
			}
			held := inUse() - before
			for _, c := range theirs {
				c.Close()
			}
			b.ReportMetric(float64(held)/conns, "B/conn")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
