// Package load makes requests of several kinds and says how they went.
//
//	small answers     wrk        Wrk
//	HTTP/2, gRPC      h2load     H2load
//	large bodies      net/http   Transfer
//	many at once      a socket each       Gather
//
// Whatever isn't as it should be fails the whole: another status than 200, an error of a socket, a body that is too short.
// wrk tells statuses from 400 on only, and h2load nothing of trailers, so Check asks once, and looks at everything, before
// either is used; what h2load counts is compared with it.
//
// # Concurrency
//
// Functions block until they are done or ctx ends, and wait for all their goroutines.
package load
