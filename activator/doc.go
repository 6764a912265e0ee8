// Package activator holds requests while a revision has no pod to take them, and sends each on to a pod as soon as one
// can. It is a library: a program gives it a [Source] that knows revisions and pods, and serves its [Activator.Engine].
//
//	client ──► Engine: resolve  ──► throttler.Acquire ──► forward ──► queue-proxy ──► app
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
// # Readiness
//
// A pod is used when it has answered a probe of our own (GET /healthz, K-Network-Probe: queue), which begins the moment
// its address appears and is held open by Sluice's queue-proxy until the app is ready; Kubernetes need not have called
// the pod Ready by then, unless [Revision.NoEarlyUse] says so. A pod that is used before it is Ready is probed on, and
// goes out of use when two probes in a row fail. One that turns from ready to not ready, or could not be reached by a
// request, has to pass a probe before it is used again. One whose queue-proxy has no room for a request is left
// alone for 50 ms, and for longer each time, up to a second; the request goes elsewhere, or waits in its old place.
//
// A pod that refuses is dialled in steps that grow from 1 ms to [Config.ProbeFrequency]; while no request waits for the
// revision, to 5 s. The first request that begins to wait, or Kubernetes by calling the pod Ready, has it dialled at once.
//
// Requests that come before a [SyncedSource] has told everything wait for that, unless their revision is known already.
//
// A backend without a queue-proxy is used when it accepts connections, if [Revision.Probe] says so ([ProbeTCP]).
//
// # Why a revision can't serve
//
// When requests have waited for a second for a revision that has no pod to use, and when they fail for it, the log has a
// line with the cause, a metric counts them by it, and the answer has a sentence that says it.
//
// # Meshes
//
// In [MeshAuto], when every Ready pod has failed a probe in a way that a service mesh may be the cause of (502, 503 or no
// HTTP answer), and no pod has passed one or answered otherwise, the cluster IP of the private Service is probed and
// used, as one pod that has as many slots as this activator's part of the Ready pods. Pods are probed on meanwhile, and
// used again, all that pass, when one has passed each probe for a second; so they are after a scale to zero.
// [MeshEnabled] uses the cluster IP alone, [MeshDisabled] pods alone, Ready ones unprobed. With [Config.Passthrough] the
// mesh is told to let pods be addressed, and the cluster IP is not used.
//
// With [Config.PodTLS] requests go over TLS to port 8112 of the pod or 443 of the cluster IP; probes stay in the clear.
//
// # Cold starts
//
// A request that waited while its revision had no pod to use is told to [Config.OnColdStart], and measured in
// sluice_cold_start_seconds by part: wait, first_byte and total. When it has the field `Sluice-Trace: 1` its answer has
// them in Server-Timing too, as sluice-wait and sluice-first-byte, in milliseconds.
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
// goroutine: the source, the reporter, and one goroutine per address that is being probed, which ends when nothing more
// is to be found out about it or it goes away; Run waits for all of them. Each revision has one mutex over what is known
// of its pods; the throttler has its own over slots and waiters, and requests take no other lock than that and a read
// lock on the map of revisions.
package activator
