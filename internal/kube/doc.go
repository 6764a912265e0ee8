// Package kube reads from Kubernetes what an activator needs: the revisions of Knative Serving, their pods, the other
// activators in their path, and the settings and certificates of the system namespace. It is the only package that
// connects to an API server.
//
//	API server ──► reflector ──► item ──► table ──► publisher ──► activator.Sink
//	 list, watch    per kind     fields    by revision   changes
//	                             in use
//
// A [Source] watches, in all namespaces, Revisions (JSON, read into types of this package), Services and EndpointSlices
// (protobuf), by label only those of Knative. If the API server doesn't allow EndpointSlices, as with Knative's own
// ClusterRole, it watches Endpoints, which list at most 1000 pods. A [System] watches ConfigMaps and Secrets.
//
// Objects are reduced to the fields in use as they are decoded, and stored once, in a table by revision. A list replaces
// all objects of its kind, which corrects a missed deletion; each kind is listed at least once an hour. Only changes are
// published. While the API server can't be reached everything stays as it was.
//
// # Concurrency
//
// [Source.Run] and [System.Run] own a goroutine for each kind of object, which waits for the API server and changes the
// table under its mutex; Run waits for these goroutines. Only the goroutine that called Run calls the sink or the
// callbacks. It takes the changes from the table and then holds no lock. So the states of a revision are published in
// their order; a state that is replaced before it is published is skipped.
package kube
