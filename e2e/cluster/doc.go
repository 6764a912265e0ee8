// Package cluster shows on a real cluster that Sluice's activator and queue-proxy take the place of Knative Serving's.
//
//	suite ──► public Service of a revision ─┬─ Proxy mode ──► activator ──► queue-proxy ──► app
//	          (ClusterIP, as an ingress)    └─ Serve mode ──────────────► queue-proxy ──► app
//
// The cases run in up to four ways: with Knative's pair, which gives the baseline, with one of the two images replaced,
// and with both. What fails with Knative's pair is an outcome; with ours the suite fails. In the end one table shows the
// outcomes side by side. README.md says what is needed and how to run it.
//
// # Concurrency
//
// Ways and phases run one after the other, the cases of a phase in parallel, each with Services of its own. Cases that
// put load on the machine take turns (world.load).
package cluster
