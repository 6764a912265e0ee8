// Command app is the application that the suite serves on a cluster: it counts what reaches it, says so in the head of
// each answer, and misbehaves on demand. One port serves HTTP/1.1, HTTP/2 in the clear, gRPC and CloudEvents.
//
//	activator ──► queue-proxy ──► app :$PORT
//
// Every answer but those of /stats, /ready and /unready carries X-Pod, X-In-Flight (how many requests were in flight
// when this one entered), X-Listen-At and X-Entered-At (wall clock, ns), X-Via ("activator" when it came through one)
// and, when the app had not yet said that it is ready, X-Early.
//
//	/               answers "ok" after ?sleep=D
//	/head           answers the request's own head as JSON
//	/upload         answers length and CRC-32C of the body
//	/download?n     answers n bytes of package payload
//	/sse?n&every    server-sent events, each with the moment it was sent
//	/stall          a first chunk, and then nothing
//	/ws             a websocket echo
//	/events         a CloudEvents receiver; ?refuse=N refuses the first delivery of every Nth event
//	/beside?port=P  200 when something listens on localhost:P
//	/die            ends the process at once
//	/stats          what this process has seen, as JSON
//	/ready          200, or 503 before READY_AFTER and for as long as /unready?for=D said
//
// gRPC: grpc.testing.TestService and grpc.health.v1.Health.
//
// LISTEN_AFTER is a duration before listen(), READY_AFTER one from the start until /ready says 200 ("never": not at
// all). "app probe URL" asks URL and exits with 0 when that gives 200: the command of exec probes.
//
// # Concurrency
//
// The counters are atomics, the set of events has a lock; net/http owns every goroutine.
package main
