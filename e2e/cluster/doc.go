// Package cluster tests on a real cluster that Sluice's activator and queue-proxy can replace Knative Serving's.
//
//	suite ──► public Service of a revision ─┬─ Proxy mode ──► activator ──► queue-proxy ──► app
//	          (ClusterIP, as an ingress)    └─ Serve mode ──────────────► queue-proxy ──► app
//
// The cases run in up to four ways: with Knative's pair, which is the baseline, with one of the two images replaced, and with
// both. A case that fails with Knative's pair is only recorded; with our pair it fails the suite. At the end one table shows
// the outcomes side by side. README.md describes the requirements and how to run the suite.
//
// # Concurrency
//
// Ways and phases run one after the other, the cases of a phase in parallel, each with its own Services. Cases that put load
// on the machine take turns (world.load).
package cluster
