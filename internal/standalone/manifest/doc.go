// Package manifest reads the Knative Service documents that the quickstart serves.
//
//	files ──► Load ──► []Service, in the order of the files and of the documents within them
//	             └───► one error for each thing that can't be served: file:line: field …: why
//
// A Service here is the part of serving.knative.dev/v1 that can be honoured on one machine without containers. Whatever
// else a document says is an error: a field that is silently ignored looks like a bug of the app.
//
// Load reads files and returns; nothing here runs on its own, and nothing is shared between calls.
package manifest
