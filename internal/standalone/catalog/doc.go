// Package catalog keeps the services and their revisions while manifests change.
//
//	[]manifest.Service ──► Plan ─► Commit ─► services ─► revisions (never changed once made), traffic
//	                         └───► error with file, line and field
//
// Documents apply in their order, as if kubectl applied each: a later document of the same service replaces an earlier
// one, whose revision remains. So one file can have the history for a traffic split.
//
// A Catalog belongs to one goroutine. Callers may keep what it returns; a Revision is immutable.
package catalog
