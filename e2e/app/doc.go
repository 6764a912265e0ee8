// Command app is the application of the end-to-end tests: it counts its requests and misbehaves on demand.
//
//	client ──► quickstart (ingress, activator) ──► queue-proxy ──► app
//
// The answers of most paths have fields with the process ID, the number of requests in flight when this one arrived, and the
// time just after listen(). So a client knows the state of each replica, even after the replica has ended.
//
//	/            answers "ok"
//	/sleep?d=D   answers after D
//	/headers     answers with the request's head as JSON
//	/upload      answers with the number of bytes of the body
//	/download?n  answers n bytes
//	/sse?n&every server-sent events
//	/ws          a websocket echo
//	/echo        answers with the body, while it is still coming
//	/files/      the files of the directory FILES
//	/event       takes a CloudEvent and notes it in APP_DIR: see journal
//	/die         ends the process at once
//
// These don't count as requests:
//
//	/stats       the counters of this process, as JSON
//	/ready       200, or 503 for the time D after /unready?for=D
//
// Variables configure the start:
//
//	APP_DIR           directory for PID.json, by which tests find the processes
//	APP_PORT          port to listen on, instead of PORT
//	APP_LISTEN_AFTER  a duration before listen(); "never" does not listen at all
//	APP_UNREADY       a duration from listen() for which /ready answers 503
//	APP_EXIT          end at once with this status, after a line on stderr
//	APP_FORK          start a grandchild in its own session that ignores SIGTERM
//	FILES             the directory of /files/
//	APP_HTTP1         serve HTTP/1.1 only
//	APP_GRPC          serve grpc.testing.TestService instead of HTTP
//
// # Concurrency
//
// The counters are atomics. net/http or grpc own all goroutines, which run until the process ends.
package main
