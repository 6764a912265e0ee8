// Package containers runs images with podman or docker, through their command lines.
//
//	Find ─► Engine ─┬─ Pull, Sweep: run podman now
//	                └─ Run, Exec, Remove: the command lines with which others run it
//
// A container is a process like any other to those who run it: podman run in the foreground, which passes on output, signals
// and the exit status. But the container outlives a client that is killed, so that Remove has to follow.
//
// The container's port is published on loopback. Between the two there may be a proxy that accepts connections before the app
// does (docker-proxy, rootlessport): Await and Listens tell the difference.
//
// An Engine is immutable, and safe for concurrent use.
package containers
