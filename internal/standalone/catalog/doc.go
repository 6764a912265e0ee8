// Package catalog keeps which services there are and which revisions they have had, as manifests come and change.
//
//	[]manifest.Service ──► Apply ─► services ─► revisions (never changed once made), traffic
//	                         └────► error with file and line; nothing has changed
//
// Documents apply in their order, as if each were given to kubectl: a later document of the same service replaces an
// earlier one, whose revision remains. So one file can hold the history that a traffic split needs.
//
// A Catalog belongs to one goroutine. What it returns may be kept; a Revision is immutable.
package catalog
