// Package load generates several kinds of load and returns the results.
//
//	small answers     wrk        Wrk
//	HTTP/2, gRPC      h2load     H2load
//	large bodies      net/http   Transfer
//	messages of gRPC  x/net's Framer      Chat
//	many at once      a socket each       Gather
//	… over HTTP/2     x/net's Framer      GatherStreams
//
// Any status other than 200, error of a socket or truncated body is an error of the whole run. wrk reports only statuses from
// 400 on, and h2load no trailers, so that Check examines a whole response before either is used; the sizes that h2load counts
// are compared with it.
//
// # Concurrency
//
// Functions block until the load or ctx has ended, and wait for all their goroutines.
package load
