package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// As many requests wait as the revision's bound allows; the others are rejected at once with Retry-After.
func TestPeers1FloodIsBounded(t *testing.T) {
	needProc(t)
	const bound, flood = 2000, 3000
	c := newCluster(t, fmt.Sprintf("  maxWaiting: %d\n", bound))
	before := anonymous(c.activator.pid())
	conns := make([]net.Conn, flood)
	for i := range conns {
		conns[i] = sendHead(t, c.addr, "rev.default.svc.cluster.local", false)
		defer func() { _ = conns[i].Close() }()
	}
	// Which requests are rejected depends on their order of arrival in the kernel.
	var wg sync.WaitGroup
	var rejected atomic.Int64
	for _, conn := range conns {
		wg.Go(func() {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				return // waits
			}
			rejected.Add(1)
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(string(body), "pending request queue full\n") ||
				atoi(resp.Header.Get("Retry-After")) < 1 {
				t.Errorf("%s %q %v", resp.Status, body, resp.Header)
			}
		})
	}
	eventually(t, "all beyond the bound are rejected", func() bool { return rejected.Load() >= flood-bound })
	for _, conn := range conns { // a connection without an answer has a request that waits
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	}
	wg.Wait()
	grown := anonymous(c.activator.pid()) - before
	t.Logf("%d rejected; memory grew by %d KiB, %d for each waiting request", rejected.Load(), grown>>10, grown/bound)
	if rejected.Load() != flood-bound {
		t.Errorf("%d rejected, want %d", rejected.Load(), flood-bound)
	}
	if perWaiter := grown / bound; perWaiter > 64<<10 && !raceEnabled {
		t.Errorf("%d bytes of memory for each that waits", perWaiter)
	}
}
