// Command app is the application that the end-to-end tests serve: it counts what reaches it and misbehaves on demand.
//
//	client ──► quickstart (ingress, activator) ──► queue-proxy ──► app
//
// Paths that count as requests carry, in their answer, the process id, how many requests were in flight when this one
// entered, and the moment just after listen(); so a client sees what each replica saw, also of one that has gone since.
//
//	/            answers "ok"
//	/sleep?d=D   answers after D
//	/headers     answers with the request's head as JSON
//	/upload      answers with the number of bytes of the body
//	/download?n  answers n bytes
//	/sse?n&every server-sent events
//	/ws          a websocket echo
//	/echo        answers with the body, while it still comes
//	/files/      what is below this in the directory FILES
//	/die         ends the process at once
//
// These don't count:
//
//	/stats       what this process has seen so far, as JSON
//	/ready       200, or 503 for as long as /unready?for=D said
//
// Its environment says how it starts:
//
//	APP_DIR           where to leave PID.json, for tests to find the processes
//	APP_PORT          listen here whatever PORT says
//	APP_LISTEN_AFTER  a duration before listen(); "never" does not listen at all
//	APP_UNREADY       a duration from listen() for which /ready answers 503
//	APP_EXIT          end at once with this status, after a line on stderr
//	APP_FORK          start a grandchild in a session of its own that ignores SIGTERM
//	FILES             the directory of /files/
//	APP_HTTP1         speak HTTP/1.1 only
//	APP_GRPC          serve grpc.testing.TestService instead of HTTP
//
// # Concurrency
//
// The counters are atomics; net/http or grpc own every goroutine, and the process ends with them.
package main
