// Package proxytest is what any implementation of the proxy's seam must do: a table of behaviour, held over real sockets
// against real clients and servers (net/http, gRPC, a websocket library) and against bytes written by hand.
//
//	test ── client ──► implementation ──► app ── test
//	                        │
//	                     Policy, scripted: it also checks the order of its calls
//
// The cases run side by side, but those of bodies not with others. Each has its own server, apps and policy, which end with it; what a case shares with its
// servers is locked or sent over channels.
package proxytest

import (
	"testing"

	"github.com/sluice-proxy/sluice/proxy"
)

// Serve runs an implementation under c on a loopback port, HTTP/1.1 and prior-knowledge HTTP/2 on it, until the test
// ends, and returns its address. It fails the test if it can't, and if it ends with a request in progress.
type Serve func(t testing.TB, c proxy.Config) (addr string)

// Run holds the implementation that serve runs against the table.
func Run(t *testing.T, serve Serve) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"Heads", heads},
		{"Bodies", bodies},
		{"Upgrades", upgrades},
		{"Timeouts", timeouts},
		{"Clients", clients},
		{"Retries", retries},
		{"Answers", answers},
		{"GRPC", grpcs},
	} {
		t.Run(group.name, func(t *testing.T) {
			if group.name != "Bodies" { // which measures the heap
				t.Parallel()
			}
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(&rig{T: t, serve: serve})
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(r *rig)
}
