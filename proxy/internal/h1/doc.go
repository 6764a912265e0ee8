// Package h1 reads and writes the messages of HTTP/1.1 (RFC 9112) as a proxy has to: strictly, so that no two parsers can
// read differently what it lets pass, and without allocation.
//
//	bytes ─► HeadEnd ─► one string ─► Request.Parse or Response.Parse ─► Fields, substrings of it
//	      ─► Body.Decode ─► the body's bytes, its trailers
//	AppendRequestLine or AppendStatusLine ─► Fields.AppendTo, AppendField ─► AppendLength or AppendChunked ─► AppendEnd ─► bytes
//
// A head is found first (HeadEnd) and parsed when it is complete, as one immutable string; names and values are
// substrings of it, so whoever keeps one keeps the head and nothing else. A Body is framed by a length, by chunks, or by
// the end of the connection, and decodes whatever bytes there are.
//
// What is refused although RFC 9112 leaves it to the recipient: a bare CR or LF, obs-fold, white space around a name,
// Content-Length more than once, or together with Transfer-Encoding, any Transfer-Encoding but "chunked", one of HTTP/1.0
// at all, user information in a target. Versions from 1.2 to 1.9 are taken for 1.1, as RFC 9110 §2.5 says and
// net/http and nginx do; what goes on from here says 1.1. Never is a request taken that net/http's server
// refuses, nor an answer that its client refuses, and what is taken is understood the same; fuzz tests hold that, and
// FuzzResponses lists the one exception.
//
// # Concurrency
//
// Nothing here is for use by several goroutines at a time.
package h1
