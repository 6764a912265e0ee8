// Package replica runs one replica of a revision as processes: a supervisor, and below it a queue-proxy and the app.
//
//	quickstart ──control pipe──► supervisor ─┬─► queue-proxy
//	    ▲                            │       ├─► app ─► its own children
//	    │                            │       └─► init containers and sidecars
//	    └────────event pipe──────────┘
//
// The supervisor is the calling binary with another argv[0] (see Main); usually the queue-proxy is, too.
//
// # Shutdown
//
// Only the quickstart has the write end of the control pipe. When that is closed, by Kill or by the end of the quickstart,
// the supervisor sends SIGTERM to all its processes and SIGKILL two seconds later. (Linux' parent death signal is not
// suitable: it fires when the thread that forked ends, and Go ends threads.) Stop is graceful, in the order of a pod: the
// queue-proxy gets SIGTERM and ends when it has drained; then the app gets SIGTERM, its grace period, and SIGKILL. In a pod
// the app's preStop hook waits for the drain; the supervisor waits for the queue-proxy's exit instead.
//
// Init containers run one after the other until they have succeeded, then the app and its sidecars start. Each of these
// is restarted separately when it ends, and gets SIGTERM together with the app.
//
// The supervisor leads a process group with the queue-proxy in it, each container leads one of its own, so that what it forked
// gets its signals and goes when the container's process does. On Linux the supervisor is also a child subreaper:
// a process that left the group or the session of its container still becomes its child when its parent ends, is found and
// killed, and is reaped. Elsewhere a process that leaves the group gets away. If the supervisor itself is killed, the
// quickstart kills all groups.
//
// A process may be the client of a container, which outlives a client that is killed: Command.After removes it after each end of
// the process, in the supervisor or, if that was killed, in the quickstart. What runs the container is the client's orphan, and
// stays below it: see adopt.
//
// # Network
//
// Containers of a replica can share the Network of one of them. Those that join start when the owner's container runs. When the
// owner ends they get SIGTERM, too, and the owner starts again when all of them have ended and been removed: podman keeps a
// container as long as others have its network.
//
// # Limits
//
// Where FindCgroups finds that the machine allows it, each run of a container with limits has cgroups of its own, below
// those of the quickstart, named after the supervisor that makes them. The process begins in them, so that whatever it
// forks is in them too. They are removed when the container has ended and what it started is gone; by the quickstart if
// the supervisor was killed; and by the next quickstart if both were.
//
// # Ports
//
// With Spec.Binds the app gets Spec.Port when it binds that port. This binary begins as the app's process, has the kernel pass its
// calls of bind and getsockname on (seccomp_unotify(2)), sends the descriptor of these calls to the supervisor, and becomes the app.
//
// # Concurrency
//
// A Replica has one goroutine, which reads events and calls Notify one at a time; Done closes when it has ended, after
// the supervisor has. In the supervisor one goroutine decides everything; the others wait for a child, read a pipe,
// copy lines, or answer an app's calls, and end with those.
package replica
