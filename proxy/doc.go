// Package proxy moves the bytes of HTTP between a client and an upstream, and knows no rule: where a request goes, how long it
// waits and what counts is decided by a Policy, which touches no byte.
//
//	client ──► Handler ──► Policy.Begin ──► Exchange.Next ──► upstream
//	   ◄────────  copy  ◄── Exchange.Response ◄──────────────┘
//	                        Exchange.Release, Exchange.End
//
// It speaks HTTP/1.1 and HTTP/2 on both sides, in the clear and inside TLS; the example shows a proxy in ten lines.
//
// A Handler is an http.Handler for a server of NewServer. An Engine serves a Handler faster: HTTP/1.1 on both sides is its
// own, and connections that turn out to need HTTP/2, on either side, it hands to such a server whole. Both do what this
// comment says, and proxytest holds both to it; where they differ, it says so.
//
// # What passes, and what does not
//
// Hop-by-hop fields go first, before the policy sees the header, and the proxy's own come last, so that a client's
// Connection field can't remove them. The request-target, Accept-Encoding, User-Agent, Content-Type and the bodies pass
// as they came, and none is invented. X-Forwarded-For gets the peer's address; -Proto and -Host are left alone. One
// target can't be written by net/http's HTTP/1.1 client as it came: one that begins with two slashes and has bytes in
// its path that no URL may have; it goes in absolute-form. (Engine has no such exception, and leaves the names and the
// order of fields, and reason phrases, as they came.) Trailers pass both ways, except those of an HTTP/2 request
// that were not announced, which net/http's server drops, and those behind a Content-Length, which only HTTP/2 has, on their
// way to a client of HTTP/1.1: one that says `TE: trailers` gets such an answer in chunks, without its length, any other with
// its length and without the trailers (RFC 9110 §6.5.1). CONNECT is answered 501, an upgrade to h2c ignored.
//
// Both directions flow at once, on HTTP/1.1 too. An answer that comes before its request has been read in full
// reaches the client at once; on HTTP/1.1 its connection is closed after it, once net/http has read what the client goes
// on to send, for 2 s and up to 256 KiB, so that no reset loses the answer. With `Expect: 100-continue` on HTTP/1.1 the
// body is asked for when the upstream asks for it, or has said nothing for Config.ExpectTimeout; one that comes all the same
// passes as soon as the upstream has begun its answer. Whatever comes from an upstream is flushed at once.
//
// # Attempts
//
// A request gets three attempts at most, and retries are a fifth of all requests at most, beyond a burst. An attempt may
// be followed by another while the client has got nothing and every byte of the body that was taken is still held
// (64 KiB at most), and
//   - nothing of the request was sent, or an HTTP/2 upstream refused the stream, or left with GOAWAY before it came to it; or
//   - the upstream said that it has not processed the request (Upstream.NotProcessed), and the policy declined its answer,
//     which costs no retry; or
//   - the method is idempotent and the connection ended before the first byte of an answer: a pooled one, or any where
//     the policy says that the upstream is one of several (Upstream.Replay).
//
// A connection is looked at before it is used again, and not used beyond an app's `Keep-Alive: timeout`, so that the
// third is rare and a POST seldom meets a connection that has been closed. After one that was closed as it was used again,
// what can't be repeated goes to that upstream over fresh connections only, for a while: HTTP/1.1, 10 s and up to 10 min.
//
// # Failures
//
// Every failure has one Reason. Before the answer has begun it is answered by WriteError; afterwards the stream is reset
// or the connection cut, and nothing is added to a body. A request that was malformed is answered without the policy.
//
// # The engine
//
// A connection's goroutine reads a head into a borrowed buffer, makes one string of it, which all names and values are
// parts of, asks the policy, writes head and body to a pooled connection of the upstream's, waits, and writes the answer's head
// and what came of its body in one go:
//
//	client.step ─► client.begin ─► flow.run ─► flow.ask ─► flight.run ─► flight.pass
//	   read          parse          Begin        Next       upstreamConn        write
//
// A connection that waits, for its client or for its upstream, holds no buffer. The whole of this runs inside one
// RawConn.Read of the client's socket, and the wait for the upstream inside one of the upstream's: Go's poller keeps an edge that
// comes while a RawConn.Read is in progress, so that no read is needed to be told that there is nothing. Whatever needs
// the client's bytes beyond what came with the head (a body that is still coming, an upgrade) leaves that callback first.
//
// What a flow needs only when it takes its time, it gets only then: rounds go over the flows in the order of their
// beginning, and find those older than 20 ms, which get a timer and have their client watched. So a timeout is met some
// tens of milliseconds late, and a client's leaving noticed as late. Idle connections, and heads that come too slowly,
// are found by a sweep, which also ends the goroutine of a connection that has been idle for a second: it sleeps until
// the watch is told that something has come, and starts another. A request that its policy has suspended
// (Request.Suspend) loses its goroutine likewise, once it is slow, and is watched from the first. So both take little
// beside what the system needs: BenchmarkMemory has the figures.
//
// On Linux large bodies of known length, and whatever an upgraded connection has while it is busy, go from socket to
// socket within the kernel (splice) where there is no TLS. On their way they are in a pipe, which is taken when there are
// bytes and given back when they have gone; where none is to be had (descriptors may have run out) they are copied. Every
// piece counts as activity, and deadlines end a splice as they end reads and writes.
//
// What is no request is answered by the engine itself, without the policy, and ends the connection (400, 408, 414, 417,
// 431, 501, 505); ServerConfig.OnRefused is told. What the parser refuses stands at internal/h1.
//
// # Concurrency
//
// A Handler is used by any number of goroutines. An exchange belongs to the goroutine of its ServeHTTP, which alone calls
// the policy. Beside it there are, while they are needed:
//   - one goroutine that reads the body of the request (upload), which the exchange interrupts and waits for at its end;
//   - one for the way up of an upgraded connection (tunnel), for which it waits too;
//   - net/http's own two for a connection to an upstream, which end with the connection;
//   - one that writes what HTTP/2's streams have said to a connection, on either side, while there is something (gathered),
//     for which the connection's Close waits;
//   - one timer (clock), which touches the exchange under a lock and not after its end.
//
// An Engine has a goroutine for each connection (client.live), at most, which Close and Shutdown wait for the end of. Who
// ends the sleep of a connection, or wakes a suspended flow, starts the next one: clientAsleep and suspension.out say
// that there is none, and pass the connection on. A flow, which is an
// Engine's exchange, belongs to that goroutine; beside it there may be one that sends a body on (sending.pump), which it
// stops and waits for, and a tunnel's. The clock, the rounds, the watch and Close reach a flow through cancel and nudge
// alone, which set deadlines of connections under flow.mu; a nudge wakes it to look again, and means nothing else. Lock
// order: rounds.mu or watch.mu or clock.mu, then flow.mu. Nobody but live closes a connection, since a Close waits for
// whoever uses it.
//
// A Handler has one more goroutine from the first HTTP/1.1 request that waits: watch, an epoll or kqueue for
// clients that leave. Handler.Close ends it, and the connections that the pool keeps unused. A timeout, a client's leaving
// and a failed body all cancel the exchange's context, and its cause says which came first. No lock is held while the
// policy, a dial or an I/O operation runs, except that the watch's is held during an epoll_ctl.
package proxy
