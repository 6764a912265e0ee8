package e2e

import (
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"
)

// quietNode is Node that doesn't say when it will close an idle connection. keep is in milliseconds.
func quietNode(keep string) func(s *street, dir string, port int) *exec.Cmd {
	return func(s *street, dir string, port int) *exec.Cmd {
		cmd := node(s, dir, port)
		cmd.Env = []string{"KEEP=" + keep}
		return cmd
	}
}

// Node closes a connection that was idle for five seconds. Whether it has said so or not, and however a request's time falls,
// none fails.
func TestPeers6NodeClosesIdleConnections(t *testing.T) {
	t.Parallel()
	s := newStreet(t, house{name: "node", program: "node", protocol: "http1", command: node},
		house{name: "quiet", program: "node", protocol: "http1", command: quietNode("5000")})
	for _, h := range s.houses {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			if why := s.skips[h.name]; why != "" {
				t.Skip(why)
			}
			// A POST can't be sent again. When nothing is known of the end of a connection, one that comes in that very moment
			// may be lost, so that there it comes later.
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

// burstAtAll sends twenty requests at once through each door, every other one a POST, if there are to be any.
func (s *street) burstAtAll(t *testing.T, h house, post bool) {
	t.Helper()
	for _, d := range s.waysTo(h, false) {
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

// The same in quick motion: hundreds of requests meet the moment in which the app closes a connection.
func TestPeers6NodeClosesConnectionsAsTheyAreUsed(t *testing.T) {
	t.Parallel()
	s := newStreet(t, house{name: "hasty", program: "node", protocol: "http1", command: quietNode("50")})
	if why := s.skips["hasty"]; why != "" {
		t.Skip(why)
	}
	for _, d := range s.waysTo(s.houses[0], false) {
		c := clientOf(t, d.addr, podLimit)
		for range 50 {
			// All at once, so that no connection stays warm by what others send meanwhile.
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
	if n < 4*podLimit { // podLimit are open at once where none is closed, and some for probes
		t.Errorf("only %d connections for 500 requests: none was closed", n)
	}
}
