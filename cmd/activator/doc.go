// Command activator holds the requests of revisions that have no pod, and sends them on to pods as these come up.
//
//	clients ──► :8012, :8013 ──► package activator ──► pods
//	                 revisions and pods ──┘ └──► autoscaler (websocket)
//
// It reads revisions and their pods from a file, again whenever that changes (see package activator/static and
// examples/activator.yaml). On SIGTERM or SIGINT it fails the kubelet's probes, serves on for the time of -drain, then
// lets what is in progress end; a second signal ends that time at once.
//
//	activator -config FILE [flags]
//	activator -help
package main
