// Package manifest reads the quickstart's manifests: Knative Services, the ConfigMaps and Secrets that they refer to, and Brokers,
// Triggers and sources of Knative Eventing.
//
//	files, directories, stdin ──► Load ──► Set: Services, in the order of the files and of the documents within them,
//	                                │           Objects, Eventing, and what was skipped
//	                                └────► one error for each problem: file:line: field …: why
//	objects of the API ──► ReadService, ReadObject, ReadEventing, ReadRevision ──► the same, and which fields are unknown
//
// # Fields
//
// Tables (table.go) list the fields of each kind of object of Kubernetes and Knative. A field is supported; or it has no
// meaning on one machine without containers and becomes a Note, since ignoring it silently would look like a bug of the
// app; or a cluster has recorded it, like status, and it is ignored. Any other field is an error with the most similar
// name. Rows returns the tables for the documentation, and Schema for the API.
//
// Default fills in what a cluster would. It makes no other revision: a document, its object with defaults and a Revision that
// was made from it have Equal templates.
//
// The package starts no goroutines and has no state between calls.
package manifest
