// Package bench measures the whole: what the library's own benchmarks can't see.
//
//	go test -run '^$' -bench ColdStart -benchtime 200x ./bench   # the tax on a cold start, over 200 starts
//	go test -run '^$' -bench Proxy -benchmem ./bench             # throughput beside httputil.ReverseProxy
//
// The tax on a cold start is the time from the app's listen() to the first byte of its answer at the client, less what
// the app itself took: all that this project adds to a start, since whoever has no app can't answer. It is measured on
// real processes: a client, the quickstart, a queue-proxy, the app.
//
// The throughput benchmarks run client, proxies and backend in one process over loopback. Client and backend of
// HTTP/1.1 are a few lines over a socket that allocate nothing, so that allocs/op is the proxies'; "direct" shows what
// they cost themselves.
//
// # Concurrency
//
// The throughput benchmarks keep conns connections busy, one goroutine each, which b.RunParallel owns.
package bench
