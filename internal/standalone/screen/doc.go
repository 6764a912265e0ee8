// Package screen shows the state of the quickstart's services, and lines about what happens.
//
//	Line(text) ──► buffer, bounded ──► owner ──► terminal: lines scroll above a table, redrawn when it changes
//	Show(rows) ──►    the newest   ──►   │   └─► otherwise: plain lines, one for each row that has changed
//	                                     └ a stopped reader (Ctrl-S, a pipe that nobody reads) stops nobody else
//
// # Concurrency
//
// A Screen is safe for concurrent use. Line and Show never wait for the output: they leave what is to be written to the
// one goroutine that New starts and Close waits for. When the output is slower than what comes, the oldest lines are
// dropped, and a line says how many; of the tables only the newest is drawn.
package screen
