// Package objects describes the state of the quickstart as the objects that a cluster with Knative would have.
//
//	Service ─► Configuration ─► Revision ─► PodAutoscaler ─► ServerlessService ─► Services, Endpoints, EndpointSlices
//	        └► Route ─► Ingress, Service  └► Deployment ─► Pods
//
// Kinds has their resources, Of computes them, and Events records events. But for Events, nothing here stores or changes
// anything. Facts on the objects are those of Knative Serving 1.22 (knative.dev/serving v0.51, pkg/reconciler) and Kubernetes
// 1.35; where the quickstart differs from a cluster, they say what is true here: a Service's requests always pass the
// activator, replicas have the address 127.0.0.1 and ports of their own, and a Deployment owns its Pods without a ReplicaSet.
//
// # Concurrency
//
// Kinds, Of and the columns' functions may be called from any goroutine; objects are only read. An Events belongs to the
// goroutine that writes to its store.
package objects
