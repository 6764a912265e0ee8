// Package origin is the app behind the proxies that are compared, and what is asked of it.
//
//	GET  /hello        12 bytes
//	GET  /slow         the same, after 10 ms
//	GET  /hold         the same, once somebody has asked for /release
//	GET  /down/SIZE    SIZE bytes
//	POST /up/SIZE      reads SIZE bytes, then says the 12
//	POST /bench.Echo/Unary, application/grpc: the message that came
//
// It speaks HTTP/1.1 and HTTP/2 with prior knowledge, and costs what net/http costs; where every microsecond counts, a
// comparison takes nginx in its place.
//
// # Concurrency
//
// A Handler may be served by any number of servers, and has no goroutine of its own.
package origin
