// Package proxytest is what any implementation of the proxy's seam must do, and any product that is made of one: a table
// of behaviour, held over real sockets against real clients and servers (net/http, gRPC, a websocket library) and against
// bytes written by hand.
//
//	test ── client ──► Path: an implementation, or products ──► app ── test
//	                        │
//	                     Policy: the case's own, or a product's; watched for the order of its calls
//
// A Path is one way from the client to the app. Each case runs on each, with clients of HTTP/1.1 and of HTTP/2: in the
// clear by prior knowledge, inside TLS by ALPN. What a product does on purpose beside what package proxy does stands in
// its Path, and nowhere in the cases. A case that needs a policy of its own can't run through a product: it says so in the
// table, and the log of the path lists it.
//
// # Concurrency
//
// The cases run side by side, but those that measure the heap not with others. Each has its own servers, apps and
// policies, which end with it; what a case shares with its servers is locked or sent over channels.
package proxytest
