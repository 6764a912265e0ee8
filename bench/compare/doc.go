// Command compare compares proxies in one run on one machine (Linux):
//
//	go run ./bench/compare -install          # installs programs from Debian: nginx, haproxy, wrk, h2load, nghttpx
//	go run ./bench/compare -list             # lists scenarios and contenders
//	go run ./bench/compare -scenarios conns-64,idle -contenders nginx,queue-proxy -rounds 3
//	go run ./bench/compare -contenders queue-proxy,pair -baseline main -variant 'x=pair SLUICE_QUEUE_DEPTH=500'
//	go run ./bench/compare -json all.json -plot all.svg
//
// The command starts the app, the proxy and the load itself, and pins no process to a CPU. Every measurement has new
// processes, and contenders take turns: each round measures all of them, starting with a different one, so that other work of
// the machine disturbs all alike. docs/bench.md explains the figures.
//
// -baseline REVISION adds this project's contenders, built from an older revision, and -variant NAME=CONTENDER SETTING one of
// them with other settings.
//
// -peer NAME=COMMAND adds another proxy. The shell runs COMMAND with these variables:
//
//	LISTEN, LISTEN_PORT      host:port where it must listen, and the port alone
//	UPSTREAM, UPSTREAM_PORT  the same for the app
//	PROTOCOL                 of clients: http1, http2 (prior knowledge) or grpc
//	UPSTREAM_PROTOCOL        in which the app should get requests: http1, or http2 if clients use it and the app supports it
//	LIMIT, QUEUE             requests that the app should get at once, and that should wait beyond them; 0: any number
//
// The proxy is ready when a request through it gets the app's answer. At the end of each measurement it is killed with all
// processes that it has started.
package main
