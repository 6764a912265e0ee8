package e2e

import (
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"
)

// quietNode is Node without an announcement of when it closes an idle connection, after keep milliseconds.
func quietNode(keep string) func(s *realApps, dir string, port int) *exec.Cmd {
	return func(s *realApps, dir string, port int) *exec.Cmd {
		cmd := node(s, dir, port)
		cmd.Env = []string{"KEEP=" + keep}
		return cmd
	}
}

// Node closes connections that were idle for five seconds. No request fails, whether Node has announced that or not, and
// whenever the request comes.
func TestPeers6NodeClosesIdleConnections(t *testing.T) {
	t.Parallel()
	s := newRealApps(t, server{name: "node", program: "node", protocol: "http1", command: node},
		server{name: "quiet", program: "node", protocol: "http1", command: quietNode("5000")})
	for _, h := range s.servers {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			if why := s.skips[h.name]; why != "" {
				t.Skip(why)
			}
			// A POST can't be sent again. One that comes at the moment of an unannounced close may be lost, so that with quietNode
			// it comes later.
			post := h.name == "node"
			s.burstAtAll(t, h, post)
			for _, pause := range []time.Duration{4980, 5020} {
				time.Sleep(pause * time.Millisecond)
				s.burstAtAll(t, h, post)
			}
			before := s.appStats(t, h.name).Connections
			time.Sleep(5500 * time.Millisecond)
			s.burstAtAll(t, h, true)
			if after := s.appStats(t, h.name).Connections; after == before {
				t.Errorf("%d connections before and after: none was closed", before)
			}
		})
	}
}

// burstAtAll sends twenty requests at once through each route; if post is set every other one is a POST.
func (s *realApps) burstAtAll(t *testing.T, h server, post bool) {
	t.Helper()
	for _, d := range s.routesTo(h, false) {
		c := clientOf(t, d.addr, 20)
		for i, a := range burst(20, func(i int) answer {
			if post && i%2 == 1 {
				return do(c, request("POST", d.url("/echo"), "ok\n"))
			}
			return get(c, d.url("/ok"))
		}) {
			if !a.ok() || a.body != "ok\n" {
				t.Errorf("%s: request %d: %v", d.name, i, a)
			}
		}
		c.CloseIdleConnections()
	}
}

// The same with a short idle time: hundreds of requests come at the moment when the app closes a connection.
func TestPeers6NodeClosesConnectionsAsTheyAreUsed(t *testing.T) {
	t.Parallel()
	s := newRealApps(t, server{name: "hasty", program: "node", protocol: "http1", command: quietNode("50")})
	if why := s.skips["hasty"]; why != "" {
		t.Skip(why)
	}
	for _, d := range s.routesTo(s.servers[0], false) {
		c := clientOf(t, d.addr, podLimit)
		for range 50 {
			// All come at once, so that each connection is idle in between.
			time.Sleep(48*time.Millisecond + rand.N(5*time.Millisecond))
			for _, a := range burst(podLimit, func(int) answer { return get(c, d.url("/ok")) }) {
				if !a.ok() {
					t.Errorf("%s: %v", d.name, a)
				}
			}
		}
	}
	n := s.appStats(t, "hasty").Connections
	t.Logf("%d connections", n)
	if n < 4*podLimit { // without closes podLimit connections would do, and some for probes
		t.Errorf("only %d connections for 500 requests: none was closed", n)
	}
}
