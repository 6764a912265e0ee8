// Package e2e runs the real binaries as processes on loopback and looks at them from outside, as a user does.
//
//	test ──► cmd/quickstart ──► queue-proxy ──► e2e/app
//	test ──► cmd/activator ───► cmd/queue-proxy ──► e2e/app
//
// TestRealApps has servers that are not ours as apps, and programs that are not ours as clients: a street of houses, each
// with a door at its queue-proxy and one at the activator.
//
//	curl, wrk, Chromium, … ──► [cmd/activator ──►] cmd/queue-proxy ──► nginx, Caddy, Node, …
//
// TestMain builds the binaries once. Each test starts a quickstart of its own on a port of its own, from a directory of
// its own: the binaries are linked into it, so that a process belongs to the test whose directory its executable is in,
// whatever it has done to its parents, group and session. A test ends with Ctrl-C and fails when that is not clean.
//
// # Concurrency
//
// Tests that measure (latency, memory, failures under load) run one after the other, before the rest runs in parallel;
// the rest mostly waits for windows of the autoscaler.
package e2e
