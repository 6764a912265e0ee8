package bench

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
)

const conns = 64 // clients at once

// load describes the requests that clients repeat.
type load struct {
	proto    string // http1 or h2
	up, down int    // bytes of the bodies
}

func (l load) String() string {
	return fmt.Sprintf("proto=%s/up=%s/down=%s", l.proto, size(l.up), size(l.down))
}

// size formats a number of bytes for names of benchmarks.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n)
}

// BenchmarkProxy measures one proxy between client and backend: none, httputil.ReverseProxy, and a queue-proxy on both of
// package proxy's implementations, with each of a queue-proxy's options for small requests, and with all for large ones.
func BenchmarkProxy(b *testing.B) {
	for _, proto := range []string{"http1", "h2"} {
		ways := []way{direct, reverseProxy}
		for _, limit := range []int{0, 100} {
			for _, metrics := range []bool{false, true} {
				ways = append(ways, queueProxy("handler", limit, metrics), queueProxy("engine", limit, metrics))
			}
		}
		measure(b, load{proto: proto}, ways)
		for _, n := range []int{1 << 10, 1 << 20} {
			for _, l := range []load{{proto, n, 0}, {proto, 0, n}} {
				measure(b, l, []way{direct, reverseProxy, queueProxy("handler", 100, true), queueProxy("engine", 100, true)})
			}
		}
	}
}

// BenchmarkChain measures two proxies, one behind the other, like an activator and a queue-proxy.
func BenchmarkChain(b *testing.B) {
	for _, proto := range []string{"http1", "h2"} {
		measure(b, load{proto: proto}, []way{
			behind(reverseProxy, reverseProxy), behind(activator1("handler"), queueProxy("handler", 100, true)),
			behind(activator1("engine"), queueProxy("engine", 100, true)),
		})
	}
}

// way is a proxy, or several, between client and backend.
type way struct {
	name string
	// lay runs the proxies until the benchmark ends, and returns their address.
	lay func(b *testing.B, backend string) (addr string)
}

var direct = way{"via=direct", func(_ *testing.B, backend string) string { return backend }}

// behind is a way of two proxies.
func behind(front, back way) way {
	return way{front.name, func(b *testing.B, backend string) string { return front.lay(b, back.lay(b, backend)) }}
}

// measure runs l on each of the ways.
func measure(b *testing.B, l load, ways []way) {
	for _, w := range ways {
		b.Run(l.String()+"/"+w.name, func(b *testing.B) {
			addr := w.lay(b, l.backend(b))
			b.Run(fmt.Sprintf("conns=%d", conns), func(b *testing.B) { parallel(b, l.up+l.down, l.clients(b, addr)) })
		})
	}
}

// client repeats one request. One goroutine at a time may use it.
type client interface {
	do() error
	close()
}

// parallel keeps the clients busy, each in its own goroutine, after a first request of each.
func parallel(b *testing.B, bytes int, clients []client) {
	idle := make(chan client, len(clients))
	for _, c := range clients {
		defer c.close()
		if err := c.do(); err != nil {
			b.Fatal(err)
		}
		idle <- c
	}
	if bytes > 0 {
		b.SetBytes(int64(bytes))
	}
	b.ReportAllocs()
	b.SetParallelism(max(1, len(clients)/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c := <-idle
		defer func() { idle <- c }()
		for pb.Next() {
			if err := c.do(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
