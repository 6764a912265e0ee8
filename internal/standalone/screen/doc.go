// Package screen shows the state of the quickstart's services, and lines about events.
//
//	Line(text) ──► buffer, bounded ──► owner ──► terminal: lines scroll above a table, redrawn when it changes
//	Show(all)  ──►    the newest   ──►   │   └─► otherwise: plain lines, one for each change
//	                                     └ an output that isn't read (Ctrl-S, a pipe) blocks only the owner
//
// # Concurrency
//
// A Screen is safe for concurrent use. Line and Show never wait for the output: one goroutine, which New starts and Close
// waits for, writes it. If the output is too slow, the oldest lines are dropped, and a line shows how many; only the newest
// table is drawn.
package screen
