// Package activator holds requests while a revision has no pod to take them, and
// sends each on to a pod as soon as one has a free slot. It is a library: a program
// gives it a [Source] of revisions and pods, and serves its [Activator.Engine].
//
//	client ─► Engine: which revision ─► throttler: a slot ─► queue-proxy ─► app
//	                                            ▲
//	Source ─► Sink: revisions, endpoints        │ pods that may be used
//	                     └──► prober ───────────┘
//	            requests ──► Reporter ──► autoscaler
//
// A request names its revision by the fields Knative-Serving-Namespace and
// Knative-Serving-Revision, or by a Host <revision>.<namespace>.svc.<domain>.
// The first request of an idle revision is reported at once, which is what
// starts a scale from zero.
//
// Start with [New], [Config] and [Activator.Run]; a [Source] delivers [Revision] and
// [Endpoints] to a [Sink]. Package static is a Source in memory or in a file.
//
// Everything may be called from any goroutine. Methods of a Sink may come in any
// order and block on a mutex at most. Activator.Run owns every goroutine, and
// waits for all of them. docs/architecture.md says when a pod is used, and how
// the activator behaves with a service mesh.
package activator
