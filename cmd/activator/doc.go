// Command activator holds the requests of revisions that have no pod, and sends them on to pods as these come up.
//
//	clients ──► :8012, :8013, :8112 ──► package activator ──► pods
//	                                        ▲    └──► autoscaler (websocket)
//	 Kubernetes or a file ── revisions, pods┘
//	 ConfigMaps, a Secret ── log, metrics, traces, profiles, TLS, meshes
//
// In a pod of Knative Serving it takes everything from there, with the names, ports and defaults of Knative's own
// activator, and needs no argument. With -config it reads revisions and their pods from a file, again whenever that
// changes (see package activator/static and examples/activator.yaml), and there is no Kubernetes.
//
// Until it can begin it answers the kubelet's probes with 500 and the reason. On SIGTERM or SIGINT it fails them again,
// serves on for the time of -drain, then lets what is in progress end; a second signal ends that time at once.
//
//	activator [flags]
//	activator -config FILE [flags]
//	activator -help
//
// # Concurrency
//
// run waits for everything that it starts. What the system namespace says is told by one goroutine, that of
// kube.System, in order: cluster and observed take it there. The log and the request log are used by all.
package main
