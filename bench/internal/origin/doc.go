// Package origin is the app behind the proxies that are compared. It answers these requests:
//
//	GET  /hello        12 bytes
//	GET  /slow         the same, after 10 ms
//	GET  /hold         the same, after the first request for /release
//	GET  /down/SIZE    SIZE bytes
//	POST /up/SIZE      reads SIZE bytes, then answers the 12
//	POST /bench.Echo/Unary, application/grpc: the message that came
//	POST /bench.Echo/Stream, application/grpc: each message as soon as it comes
//
// It serves HTTP/1.1 and HTTP/2 with prior knowledge, at the cost of net/http; where every microsecond counts, a comparison
// uses nginx instead.
//
// # Concurrency
//
// Any number of servers may serve a Handler, which starts no goroutine.
package origin
