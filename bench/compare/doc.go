// Command compare measures proxies beside each other, in one run on one machine (Linux):
//
//	go run ./bench/compare -install          # what it needs from Debian: nginx, haproxy, wrk, h2load
//	go run ./bench/compare -list             # scenarios and contenders
//	go run ./bench/compare -scenarios conns-64,idle -contenders nginx,queue-proxy -rounds 3
//	go run ./bench/compare -json all.json -plot all.svg
//
// It starts everything itself: the app, the proxy, the load. Nothing is pinned to a CPU. Every measurement has fresh
// processes, and contenders take turns: each round measures all of them, beginning with another one each time, so that
// what else the machine does hits all alike. docs/bench.md says what each figure means.
//
// -peer NAME=COMMAND adds a proxy of one's own. The shell runs COMMAND with these variables:
//
//	LISTEN, LISTEN_PORT      host:port where it must listen, and the port alone
//	UPSTREAM, UPSTREAM_PORT  the same of the app
//	PROTOCOL                 of clients: http1, http2 (prior knowledge; the app speaks both) or grpc
//	LIMIT, QUEUE             requests that the app should get at once, and that should wait beyond them; 0: any number
//
// It is ready when a request through it is answered as the app does, and is killed, with all that it has started, at the
// end of each measurement.
package main
