// Package standalone serves Knative Services on one machine, without Kubernetes: it is what cmd/quickstart runs.
//
//	            ┌───────────────────────── one process ─────────────────────────┐
//	client ───► │ ingress ─► activator ──────────────────────────────────────── │ ─► queue-proxy ─► app
//	            │               │ first request, statistics     ▲ endpoints     │      ▲ replica: processes
//	files ────► │ manifest ─► catalog ─► revisions ─► autoscaler ─► replicas ── │ ─────┘ of their own
//	            └───────────────────────────────────────────────────────────────┘
//
// It plays what surrounds a data plane in a cluster: the gateway (package ingress), the controller (catalog), the
// autoscaler (autoscaler), and the kubelet (replica, and the probes here). The activator and the queue-proxies are the
// real ones.
//
// Of a pod's spec the kubelet here does what has a meaning without containers (docs/quickstart.md): environments and volumes
// from ConfigMaps, Secrets and the downward API (instance.go), containers before and beside the app (package replica),
// startup and liveness probes, and the readiness that a program tells (probes.go). A startup probe, or a container beside
// the app that isn't ready, keeps the replica's address from the activator.
//
// A replica's address is given to the activator as not ready the moment it is launched, so that the activator's own probe
// finds out first when its app listens; the kubelet's probe, which makes it Ready, serves the autoscaler and the screen.
// A replica that has to go is taken out of the activator's endpoints before it gets SIGTERM.
//
// # Concurrency
//
// One goroutine, in Run, owns all revisions and replicas; what others find out comes to it as functions over a channel.
// It never blocks but for the fork of a supervisor. Every other goroutine belongs to Run, which waits for it: the HTTP
// server, the activator, the watcher of the files, the kubelet of each replica, who probes each of its containers, and each
// scrape. The activator's reports and cold starts come through an inbox that never blocks.
package standalone
