//go:build !race

package proxy_test

import (
	"math"
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// TestEngineHardlyAllocates: a request and its answer, both heads other than those before, cost an allocation each, which
// holds the head; those that are the same as before cost none.
func TestEngineHardlyAllocates(t *testing.T) {
	addr := engineOf(t, &lean{upstream: proxy.Upstream{Addr: rawApp(t, small)}}, proxy.ServerConfig{})
	for _, c := range []struct {
		name, ask string
		vary      bool
		most      float64
	}{
		{"the same again", askMany, false, 0},
		{"with a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", false, 0},
		{"in chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", false, 0},
		{"always another", askMany, true, 1},
	} {
		client := newRawClient(t, addr, c.ask, "Hello World!")
		for range 20 {
			if err := client.do(); err != nil {
				t.Fatal(err)
			}
		}
		n := math.Inf(1)
		for range 3 { // what earlier tests have left may allocate meanwhile
			n = min(n, testing.AllocsPerRun(500, func() {
				if c.vary {
					client.ask[6]++
					if client.ask[6] > 'z' {
						client.ask[6] = 'a'
					}
				}
				if err := client.do(); err != nil {
					t.Error(err)
				}
			}))
		}
		if n > c.most {
			t.Errorf("%s: %v allocations a request, want %v at most", c.name, n, c.most)
		}
	}
}
