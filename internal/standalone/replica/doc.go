// Package replica runs one replica of a revision as processes: a supervisor, and below it a queue-proxy and the app.
//
//	quickstart ──control pipe──► supervisor ─┬─► queue-proxy
//	    ▲                            │       └─► app ─► whatever it starts
//	    └────────event pipe──────────┘
//
// The supervisor is the calling binary executed again under another argv[0] (see Main); so is, usually, the queue-proxy.
//
// # Who ends whom
//
// The quickstart alone holds the write end of the control pipe. When it closes, by Kill or because the quickstart has
// died in whatever way, the supervisor sends SIGTERM to all that it runs and SIGKILL two seconds later. (Linux' parent
// death signal is no way to do this: it fires when the thread that forked ends, and Go ends threads.) Stop is the gentle
// way, in the order of a pod: the queue-proxy gets SIGTERM and ends when it has drained; then the app gets SIGTERM, its
// grace, and SIGKILL. In a pod the app's preStop hook asks the queue-proxy when it has drained; a supervisor that sees the
// queue-proxy's exit needs no such question.
//
// The supervisor leads a process group with the queue-proxy in it, the app leads one of its own, so that what it forked
// gets its signals and goes when the app does, as in a container. On Linux the supervisor is also a child subreaper:
// a process that left the group or the session of the app still becomes its child when its parent ends, is found and
// killed, and is reaped. Elsewhere a process that leaves the group gets away. If the supervisor itself is killed, the
// quickstart kills both groups.
//
// # Concurrency
//
// A Replica has one goroutine, which reads events and calls Notify one at a time; Done closes when it has ended, after
// the supervisor has. In the supervisor one goroutine decides everything; the others wait for a child, read a pipe, or
// copy lines, and end with those.
package replica
