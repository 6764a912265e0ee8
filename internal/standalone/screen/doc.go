// Package screen shows the state of the quickstart's services, and lines about what happens.
//
//	Show(rows) ──► terminal: a table at the bottom, redrawn when it changes; lines scroll above it
//	Line(text) ──► otherwise: plain lines, one for each row that has changed
//
// # Concurrency
//
// A Screen is safe for concurrent use; a call blocks while its output is written. It starts no goroutine.
package screen
