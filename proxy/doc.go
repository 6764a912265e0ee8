// Package proxy is a reverse proxy whose rules are the caller's: it carries the
// requests and responses of HTTP/1.1, HTTP/2, gRPC and websockets, in the clear
// and inside TLS, and asks a [Policy] where each request goes, and whether it waits.
//
//	client ─► Engine or Handler ─► Policy.Begin ─► Exchange.Next ─► upstream
//	       ◄─────────────────────────────────── Exchange.Response ◄─┘
//	                               then Exchange.Release and Exchange.End
//
// Start with [Policy] and [Exchange], which a user implements, and [Upstream].
// [New] makes a [Handler], which is an http.Handler; [NewEngine] makes an [Engine]
// of it, which serves sockets faster. Both behave alike (proxytest).
//
// A Policy, a Handler and an Engine may be used by any number of goroutines; the
// methods of one Exchange are never called two at once. Goroutines end with their
// request or connection: Handler.Close, Engine.Close and Shutdown wait for them.
// docs/architecture.md says what is passed on and when a request is sent again.
package proxy
