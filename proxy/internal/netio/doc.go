// Package netio reads, writes and peeks at sockets without telling Go's scheduler, and moves bytes from one socket to another
// within the kernel.
//
//	socket ── Read, Write ── an Engine's loop, inside syscall.RawConn's callbacks
//	socket ── Splice ── a pipe of Pipes ── socket       (Linux; elsewhere bytes are copied)
//
// Read, Write and Peek never block; Raw makes a net.Conn of them that does, with deadlines. A Splice belongs to one goroutine;
// Pipes are safe for concurrent use.
package netio
