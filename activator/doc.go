// Package activator holds requests while a revision has no pod to take them, and sends each on to a pod as soon as one
// can. It is a library: a program gives it a [Source] that knows revisions and pods, and serves its [Activator.Handler].
//
//	client ──► Handler: resolve ──► throttler.Acquire ──► forward ──► queue-proxy ──► app
//	                                      ▲
//	Source ──► Sink: revisions, endpoints │ pods that may be used
//	                     └──► prober ─────┘
//	             requests ──► Reporter ──► autoscaler
//
// A request names its revision by the headers Knative-Serving-Namespace and Knative-Serving-Revision, or by a Host of
// the form <revision>.<namespace>.svc.<cluster domain>. It takes a slot of a pod, waiting in line for one if it must,
// and gives it back when the answer has been passed on. The first request of an idle revision is reported at once,
// which is what starts a scale from zero.
//
// A pod is used when it has answered a probe of our own (GET /healthz, K-Network-Probe: queue), which begins the moment
// its address appears and is held open by Sluice's queue-proxy until the app is ready; Kubernetes need not have called
// the pod Ready by then, unless [Revision.NoEarlyUse] says so.
//
// # Trust
//
// What only a proxy of the data path may say is removed from what a client sends: Sluice-No-Queue and the other
// Sluice headers, K-Passthrough-Lb, K-Network-Hash and any other K-Proxy-Request than our own. K-Original-Host is
// believed, as Knative's ingresses may set it; an ingress that faces strangers must remove it.
//
// # Concurrency
//
// Methods of a [Sink] come from anywhere, in any order, and never block on more than a mutex. [Activator.Run] owns every
// goroutine: the source, the reporter, and one goroutine per pod that is being probed, which ends when the pod passes
// or goes away; Run waits for all of them. Each revision has one mutex over what is known of its pods; the throttler
// has its own over slots and waiters, and requests take no other lock than that and a read lock on the map of
// revisions.
package activator
