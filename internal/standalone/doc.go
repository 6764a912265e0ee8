// Package standalone serves Knative Services on one machine, without Kubernetes. Command quickstart runs it.
//
//	            ┌───────────────────────── one process ─────────────────────────┐
//	client ───► │ ingress ─► activator ──────────────────────────────────────── │ ─► queue-proxy ─► app
//	            │               │ first request, statistics     ▲ endpoints     │      ▲ replica: processes
//	files ────► │ manifest ─► catalog ─► revisions ─► autoscaler ─► replicas ── │ ─────┘ of their own
//	            │    ▲                    │                           │         │
//	kubectl ──► │ kubeapi ◄── store ◄── objects: what a cluster would have ◄──  │
//	            └───────────────────────────────────────────────────────────────┘
//
// What files and the API's clients declare (declared.go) is checked and put into effect as a whole, in one way (applied); then
// the state is published to the API's store (publish.go) and what lasts of it is saved (api.go, restore.go).
//
// Apps that use the cluster's names reach the ingress through a proxy of their own (package forward).
//
// It implements the other components of a cluster: the gateway (package ingress), the controller (catalog), the
// autoscaler (autoscaler), and the kubelet (replica, and the probes in this package). The activator and the queue-proxies
// are the same as in a cluster.
//
// Sinks of events are resolved to addresses (eventing.go). Brokers and triggers run in package broker, to which the ingress leads
// (brokers.go). A ContainerSource runs as a revision without requests
// (container_source.go), and a PingSource has a goroutine that sends (pingers.go, package ping).
//
// An app is a process of this machine, or the image in a container of podman or docker (images.go, package containers).
//
// The kubelet implements the fields of a pod's spec that have a meaning on one machine (docs/quickstart.md):
// environments and volumes from ConfigMaps, Secrets and the downward API (instance.go), init containers and sidecars
// (package replica), startup, liveness and exec readiness probes (probes.go). Until its startup probe has passed and its
// sidecars are ready, a replica's address is not published to the activator.
//
// Otherwise a replica's address is published as not ready as soon as it is launched, so that the activator's own probe
// finds its app listening first. The kubelet's probe, which makes it Ready, is for the autoscaler and the screen. A replica
// is removed from the activator's endpoints before it gets SIGTERM.
//
// # Concurrency
//
// One goroutine, in Run, owns all revisions and replicas; others send it functions over a channel. It blocks only while
// it forks a supervisor, when it first looks for podman or docker, and while a broker is made or deleted. Run also owns, and waits for, all other goroutines: the HTTP server, the activator, the watchers
// of the files and of the programs, the API's server and, for each replica, the prober, those of its containers, and the
// scraper. The activator delivers its reports and cold starts to an inbox that never blocks. Writes of the API run on Run's
// goroutine, which is the only one that changes the store; reads and watches don't involve it.
package standalone
