// Package sidecar is the queue-proxy as a program: what it reads from its environment, where it logs, and what it tells of
// itself, around a [queueproxy.Proxy]. cmd/queue-proxy is [Main]; a program with extensions calls it with options:
//
//	err := sidecar.Main(ctx, sidecar.WithPolicy(mine))
//
// Main starts goroutines for the telemetry that is configured, and waits for them, for [queueproxy.FlushTime] at most.
package sidecar
