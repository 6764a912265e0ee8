package h2

import "github.com/sluice-proxy/sluice/proxy/internal/h1"

// Handler is called from within Input, Drained and Abandon. Fields, requests and bytes belong to the caller and are valid until
// the method returns; strings may be kept.
type Handler interface {
	// Request is a server's new stream with its head, which was checked (RFC 9113 §8.2, §8.3). end: there is no content.
	Request(s *Stream, r *Request, end bool)
	// Oversized is called instead for a head beyond MaxHead or MaxFields; err is hpack.ErrTooLarge or hpack.ErrTooMany. The
	// stream is for an answer (431). Its content is thrown away, and it ends with the answer.
	Oversized(s *Stream, err error)
	// Response is the head of an answer, or an interim one (status < 200), checked as well. A client's.
	Response(s *Stream, status int, f h1.Fields, end bool)
	// Data is content without its padding. end: it was the last. p may be empty then.
	Data(s *Stream, p []byte, end bool)
	// Trailers ends what is received of s.
	Trailers(s *Stream, f h1.Fields)
	// Reset ends s: the peer has reset it, or has broken a rule (it is told so), or has never seen it (RefusedStream: GOAWAY has
	// left it out).
	Reset(s *Stream, code Code)
	// Writable follows a WriteData that took less than it was given, when it would take some.
	Writable(s *Stream)
	// Settings says that the server's first SETTINGS have come, or others that changed how many streams may be opened. A client's.
	Settings()
	// GoAway says that the server takes no more streams here. Those that it hasn't seen have been Reset. A client's.
	GoAway(last uint32, code Code)
}
