// Package bench measures whole data paths and compares their parts, which the library's own benchmarks can't do.
//
//	go test -run '^$' -bench . ./bench                            # all of it: some minutes
//	go test -run '^$' -bench Proxy -count 10 ./bench              # throughput, for benchstat
//	go test -run '^$' -bench Part ./bench                         # what each part of a request costs alone
//	go test -run '^$' -bench ColdStart -benchtime 200x ./bench    # the overhead of a cold start, over 200 starts
//	go test -run '^$' -bench Threads -benchtime 1x ./bench        # by threads, with exclusive CPUs and with shared ones
//	go test -run '^$' -bench Sizing -benchtime 200000x ./bench    # CPU and memory of the binaries
//
// The command compare, in a directory below, compares our binaries with other proxies (docs/bench.md).
//
// The overhead of a cold start is the time from the app's listen() to the first byte of its answer at the client, minus the
// app's own time: this is all that the project adds to a start. It is measured on real processes: a client, the quickstart, a
// queue-proxy, the app.
//
// Proxy and Chain run client, proxies and backend in one process over loopback. Their names have parts by which benchstat can
// compare them (for example with -col /via): proto, up and down are the protocol and the sizes of the bodies, via is the proxy:
// none (direct), httputil.ReverseProxy, or ours, on the engine as in the binaries or on net/http by their Handlers. Client and
// backend of HTTP/1.1 use a socket directly and allocate nothing, so that allocs/op is the proxies'. Those of HTTP/2 are
// net/http's, whose own cost "direct" shows.
//
// # Concurrency
//
// Proxy and Chain keep conns clients busy, one goroutine each, which b.RunParallel owns.
package bench
