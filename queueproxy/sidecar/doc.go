// Package sidecar is the queue-proxy as a program: it configures a [queueproxy.Proxy] from the environment, with its logs,
// metrics and traces. cmd/queue-proxy calls [Main]; a program with extensions calls it with options:
//
//	err := sidecar.Main(ctx, sidecar.WithPolicy(mine))
//
// Main starts goroutines for the configured telemetry. When it ends it waits for them, for [queueproxy.FlushTime] at most.
package sidecar
