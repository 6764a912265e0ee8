// Command activator holds the requests of revisions that have no pod, and forwards them once a pod is available.
//
//	clients ──► :8012, :8013, :8112 ──► package activator ──► pods
//	                                        ▲    └──► autoscaler (websocket)
//	 Kubernetes or a file ── revisions, pods┘
//	 ConfigMaps, a Secret ── log, metrics, traces, profiles, TLS, meshes
//
// In a pod of Knative Serving the command needs no argument: it reads the cluster's configuration, and has the names, ports
// and defaults of Knative's own activator. With -config it needs no Kubernetes: it reads revisions and their pods from a
// file, and again whenever that file changes (see package activator/static and examples/activator.yaml).
//
// Until the activator can serve, it answers the kubelet's probes with 500 and the reason. After SIGTERM or SIGINT it fails
// them again, accepts requests for the time of -drain, then waits for the requests in progress; a second signal ends the
// time of -drain at once.
//
//	activator [flags]
//	activator -config FILE [flags]
//	activator -help
//
// # Concurrency
//
// run waits for every goroutine that it starts. One goroutine, that of kube.System, calls cluster and observed with each
// change of the system namespace, in order. All goroutines use the log and the request log.
package main
