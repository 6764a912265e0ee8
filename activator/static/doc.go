// Package static has sources of revisions without a cluster: in memory, or in a file that is read again whenever it changes.
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
//	    timeoutSeconds: 300          # for the whole request, including its wait for a pod; 0: off; default 300
//	    probe: queue-proxy           # tcp: the pods may be any servers, without a queue-proxy
//	    pods:
//	      - address: 10.0.0.7:8012   # of the pod's queue-proxy
//
// examples/activator.yaml shows every field. An unknown field is an error.
//
// # Concurrency
//
// The Run methods run on their caller's goroutine and start none.
package static
