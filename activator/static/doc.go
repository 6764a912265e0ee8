// Package static has sources of revisions that are known without asking a cluster: in memory, or in a file that is
// read again when it changes.
//
//	Source  ───────────────────► activator.Sink
//	File ◄── filewatch ── disk
//
// A file is YAML:
//
//	revisions:
//	  - namespace: default
//	    name: hello-00001
//	    containerConcurrency: 10     # requests in flight in one pod; 0, the default: no limit
//	    timeoutSeconds: 300          # the whole request, its wait for a pod included; 0: off; default 300
//	    probe: queue-proxy           # tcp: the pods may be any servers, without a queue-proxy
//	    pods:
//	      - address: 10.0.0.7:8012   # of the pod's queue-proxy
//
// examples/activator.yaml shows every field. A field that isn't known is an error.
//
// # Concurrency
//
// Run of both runs on its caller's goroutine and starts none.
package static
