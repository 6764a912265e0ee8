// Package proxytest tests the behaviour of implementations of proxy.Policy's seam, and of products made of them: one table of
// cases, run over real sockets with real clients and servers (net/http, gRPC, a websocket library) and with handwritten bytes.
//
//	test ── client ──► Path: an implementation, or products ──► app ── test
//	                        │
//	                     Policy: the case's own, or a product's; the order of its calls is checked
//
// A Path is one way from the client to the app. Each case runs on each path, with clients of HTTP/1.1 and of HTTP/2: without
// TLS by prior knowledge, with TLS by ALPN. The intended differences between a product and package proxy are fields of its
// Path; the cases know no product. A case that needs its own policy can't run through a product: the table marks it, and the
// log of the path lists it.
//
// # Concurrency
//
// The cases run in parallel, except those that measure the heap. Each has its own servers, apps and policies, which end with
// it. A case protects the data that it shares with its servers by locks or channels.
package proxytest
