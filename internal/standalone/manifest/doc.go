// Package manifest reads what the quickstart serves: Knative Services, and the ConfigMaps and Secrets that they name.
//
//	files, directories, stdin ──► Load ──► Set: Services, in the order of the files and of the documents within them,
//	                                │           Objects, and what was skipped
//	                                └────► one error for each thing that is wrong: file:line: field …: why
//
// # Fields
//
// What may stand in a document is in tables (table.go), one for each kind of object of Kubernetes and Knative. A field is
// done; or it has no meaning on one machine without containers and becomes a Note, since what is ignored in silence looks
// like a bug of the app; or it was written down by a cluster, as status, and asks for nothing. Any other is an error that
// names the nearest there is. Rows gives the tables to the documentation.
//
// Load reads files and returns; nothing here runs on its own, and nothing is shared between calls.
package manifest
