package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A thousand waiting clients are let in, as the flag says; the rest is told to come back.
func TestPeers1FloodIsBounded(t *testing.T) {
	needProc(t)
	const bound, flood = 1000, 3000
	q := newQuickstart(t)
	q.write(service{env: map[string]string{"APP_LISTEN_AFTER": "never"}})
	q.start(append(fast, "-max-waiting", fmt.Sprint(bound))...)
	before := rss(q.cmd.Process.Pid)
	conns := make([]net.Conn, flood)
	for i := range conns {
		conns[i] = q.sendHead(false)
		defer func() { _ = conns[i].Close() }()
	}
	rejected := 0
	for _, c := range conns[bound:] {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			continue // one of those that wait: the order of arrival is the kernel's
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusServiceUnavailable || string(body) != "pending request queue full\n" || resp.Header.Get("Retry-After") == "" {
			t.Fatalf("%s %q %v", resp.Status, body, resp.Header)
		}
		rejected++
	}
	grown := rss(q.cmd.Process.Pid) - before
	t.Logf("%d rejected; memory grew by %d KiB", rejected, grown>>10)
	if rejected != flood-bound {
		t.Errorf("%d rejected, want %d", rejected, flood-bound)
	}
}
