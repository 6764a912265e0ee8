// Command h2spec runs the conformance tests for HTTP/2 of github.com/summerwind/h2spec, strict ones too, against a server
// on loopback, and writes what came of each as JSON on its standard output; what h2spec itself has to say goes to standard
// error:
//
//	h2spec -host rev.default.svc.cluster.local -port 8012 → [{"Name": "http2/5.1/1: idle: Sends a DATA frame", …}]
//
// Unlike h2spec's own command it takes a host that no name server knows: it becomes the :authority of the requests, by
// which an activator finds a revision, and 127.0.0.1 is what is dialled. It is a module of its own, so that the main one
// doesn't depend on h2spec; TestH2spec of ../ builds and runs it.
//
// # Concurrency
//
// Tests run one after the other; a goroutine answers each question of the resolver's, and ends with it.
package main
