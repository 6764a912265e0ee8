// Command app is the application of the suite: it counts its requests, reports the counters in the head of each answer, and
// misbehaves on demand. One port serves HTTP/1.1, HTTP/2 without TLS, gRPC and CloudEvents.
//
//	activator ──► queue-proxy ──► app :$PORT
//
// All answers except those of /stats, /ready and /unready have X-Pod, X-In-Flight (the number of requests in flight when this
// one arrived), X-Listen-At and X-Entered-At (wall clock, ns), X-Via ("activator" if it came through one) and, if the app was
// not ready yet, X-Early.
//
//	/               answers "ok" after ?sleep=D
//	/head           answers the request's own head as JSON
//	/upload         answers length and CRC-32C of the body
//	/download?n     answers n bytes of package payload
//	/sse?n&every    server-sent events, each with the moment it was sent
//	/stall          sends a first chunk, and then nothing
//	/ws             a websocket echo
//	/events         a CloudEvents receiver; ?refuse=N refuses the first delivery of every Nth event
//	/beside?port=P  200 when something listens on localhost:P
//	/die            ends the process at once
//	/stats          the counters of this process, as JSON
//	/ready          200, or 503 before READY_AFTER and for the time D after /unready?for=D
//
// gRPC: grpc.testing.TestService and grpc.health.v1.Health.
//
// LISTEN_AFTER is the duration before listen(), READY_AFTER that from the start until /ready answers 200 ("never": it never
// does). "app probe URL" is the command of exec probes: it exits with 0 if URL answers 200.
//
// # Concurrency
//
// The counters are atomics, the set of events has a lock; net/http owns all goroutines.
package main
