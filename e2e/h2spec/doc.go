// Command h2spec runs the conformance tests for HTTP/2 of github.com/summerwind/h2spec, including the strict ones, against a
// server on loopback. It writes the outcomes as JSON to standard output, and h2spec's own output to standard error:
//
//	h2spec -host rev.default.svc.cluster.local -port 8012 → [{"Name": "http2/5.1/1: idle: Sends a DATA frame", …}]
//
// Unlike h2spec's own command it accepts a host that no name server knows: the host is the :authority of the requests, by which
// an activator finds a revision, and the connections go to 127.0.0.1. The command is its own module, so that the main module
// doesn't depend on h2spec; TestH2spec of ../ builds and runs it.
//
// # Concurrency
//
// Tests run one after the other. A goroutine answers each query of the resolver, and ends with it.
package main
