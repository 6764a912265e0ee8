// Package kube tells an activator what Kubernetes knows: the revisions of Knative Serving, their pods, the other
// activators in their path, and the settings and certificates of the system namespace. It is the only package that
// talks to an API server.
//
//	API server ──► reflector ──► item ──► table ──► publisher ──► activator.Sink
//	 list, watch    of a kind    what matters  by revision  what changed
//
// A [Source] watches, in all namespaces, Revisions (JSON, read into types of this package), Services and EndpointSlices
// (protobuf), by label only those of Knative. Where the activator may not watch EndpointSlices, as with Knative's own
// ClusterRole, it watches Endpoints, which end at 1000 pods: the API server is asked which of the two it may. A [System]
// watches ConfigMaps and one Secret.
//
// Objects are cut down to what matters as they are decoded, and kept once, in a table by revision. A list replaces all
// that was known of its kind, so what was deleted unseen is gone after it; an hour at most passes from one list to the
// next. What a list or an event doesn't change isn't told again. While the API server is away everything stays as it
// was.
//
// # Concurrency
//
// [Source.Run] and [System.Run] own a goroutine for each kind of object, which waits for the API server and changes the
// table under its mutex, and wait for them. The goroutine that called Run is the only one that calls the sink or the
// callbacks: it takes what has changed from the table and holds no lock meanwhile, so a change is told in the order of
// its revision's states, and one that is overtaken by the next isn't told at all.
package kube
