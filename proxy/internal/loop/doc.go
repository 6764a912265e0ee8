// Package loop drives connections: it reads, hands bytes to a Handler, and sends what Handlers have appended, in turns.
//
//	sockets ── epoll ──────────────┐             ┌─ Handler.Input ──┐
//	TLS, pipes, … ── a goroutine ──┤── a turn ───┤  posted, Tick    ├── one send per connection with output
//	Do, Post, Wake ────────────────┘             └─ Config.Turn ────┘
//
// It knows nothing of protocols. A proxy makes one Loop for some of its connections, to clients and to upstream servers, and
// keeps everything that these share in the state of that Loop:
//
//	l, err := loop.New(loop.Config{})
//	…
//	l.Do(func() { l.Add(conn, handler) })
//
// # Concurrency
//
// A Loop has one lock. It is held for a turn, and a turn is all that it is held for, so what only turns use needs no other
// lock: Handlers, functions given to Do, Post and Conn.Detach, Config.Turn and Config.Tick all run in turns, one at a time.
// They must not block. Methods of Conn, and Add, Now and Wake, are for turns only; New, Close and Do are not for turns; Post and
// Stats may be called from anywhere. No method of a Conn calls its Handler.
//
// On Linux one goroutine reads and writes all plain sockets. It waits in Go's own poller for an epoll descriptor to be readable, so
// it takes no thread. A connection that isn't a plain socket has a goroutine that reads it and, while there is output, one that
// writes; so has every connection where there is no epoll. Each of these goroutines runs turns of its own. Close waits for them all.
package loop
