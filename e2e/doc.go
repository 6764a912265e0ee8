// Package e2e runs the real binaries as processes on loopback and tests them from outside, as users see them.
//
//	test ──► cmd/quickstart ──► queue-proxy ──► e2e/app
//	test ──► cmd/activator ───► cmd/queue-proxy ──► e2e/app
//
// TestRealApps has well-known servers as apps, and well-known programs as clients. Each server has two routes: to its
// queue-proxy, and to the activator.
//
//	curl, wrk, Chromium, … ──► [cmd/activator ──►] cmd/queue-proxy ──► nginx, Caddy, Node, …
//
// TestMain builds the binaries once. Each test starts its own quickstart on its own port, with binaries that are linked into
// the test's directory: the directory of a process's executable identifies its test, even if the process has changed its
// parent, group or session. A test ends with Ctrl-C, and fails if the quickstart doesn't end cleanly.
//
// # Concurrency
//
// Tests that measure (latency, memory, failures under load) run one after the other. The others, which mostly wait for windows
// of the autoscaler, run in parallel afterwards.
package e2e
