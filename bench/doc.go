// Package bench measures the whole, and its parts beside each other: what the library's own benchmarks can't see.
//
//	go test -run '^$' -bench . ./bench                            # all of it: some minutes
//	go test -run '^$' -bench Proxy -count 10 ./bench              # throughput, for benchstat
//	go test -run '^$' -bench Part ./bench                         # what each part of a request costs alone
//	go test -run '^$' -bench ColdStart -benchtime 200x ./bench    # the tax on a cold start, over 200 starts
//	go test -run '^$' -bench Threads -benchtime 1x ./bench        # by threads, with CPUs of its own and with shared ones
//	go test -run '^$' -bench Sizing -benchtime 200000x ./bench    # CPU and memory of the binaries
//
// The command compare, below, measures our binaries beside other proxies (docs/bench.md).
//
// The tax on a cold start is the time from the app's listen() to the first byte of its answer at the client, less what
// the app itself took: all that this project adds to a start, since whoever has no app can't answer. It is measured on
// real processes: a client, the quickstart, a queue-proxy, the app.
//
// Proxy and Chain run client, proxies and backend in one process over loopback, and say in their names what differs, so
// that benchstat can put it side by side (-col /via, say): proto, up and down are the protocol and the bodies; via is
// what is in between: nothing (direct), httputil.ReverseProxy, or ours, on the engine as the binaries run it or on
// net/http by their Handlers. Client and backend of HTTP/1.1 are a few lines over a socket that allocate nothing, so that
// allocs/op is the proxies'; those of HTTP/2 are net/http's, and "direct" shows what they cost themselves.
//
// # Concurrency
//
// Proxy and Chain keep conns clients busy, one goroutine each, which b.RunParallel owns.
package bench
