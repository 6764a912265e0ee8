// Package h2 is HTTP/2 (RFC 9113) as a state machine, for both roles: it takes the bytes that have come, calls a Handler with
// what they mean, and appends what is to be sent to an output. It knows nothing of sockets, of time, or of what requests are for.
//
//	bytes ─► Conn.Input ─► frames ─► Handler.Request, Response, Data, Trailers, Reset, Writable …
//	Stream.WriteHead, WriteData, WriteTrailers, Reset, Credit ─► frames ─► *out, which the driver sends and empties ─► Conn.Drained
//
// A server that says hello, over any connection (p is what was read of it):
//
//	var out []byte
//	var c h2.Conn
//	c.Init(h2.Config{MaxStreams: 100, StreamWindow: 1 << 16, ConnWindow: 1 << 20, MaxHead: 1 << 16, MaxFields: 100, MaxOut: 1 << 16,
//		Now: time.Now}, hello{}, &out)
//	for {
//		n, err := c.Input(p) // n bytes of p are done with: the next call gets the others again, with more behind them
//		conn.Write(out); out = out[:0]; c.Drained()
//		…
//	}
//	func (hello) Request(s *h2.Stream, r *h2.Request, end bool) {
//		s.WriteHead(200, nil, false)
//		s.WriteData([]byte("hello"), true)
//	}
//
// # Streams
//
// A Stream is open until both ends are done with it or one has reset it. From then on no method of the Handler is called with
// it, its own methods do nothing, and its memory is another stream's as soon as Input or Drained is called again: by then its
// user has to have forgotten it. A handler may call any method of a connection and its streams, but Input, Drained and Abandon.
//
// # Windows
//
// What a stream may receive grows by Credit, which the user calls when the bytes have gone on: a stream whose bytes go nowhere
// is stopped, and no more than Config.StreamWindow is held for it. The connection's window grows when bytes are received, so
// that a stopped stream doesn't stop the others. WriteData takes what the peer's windows and Config.MaxOut leave room for. The
// streams that have more to write get turns of 16 KiB each, by Handler.Writable.
//
// # Bounds
//
// What a peer may have us do that brings no request further is counted (bounds.go) and paid for with completed answers, content
// and time. A peer that exceeds it gets GOAWAY with ENHANCE_YOUR_CALM. Nothing is held for a peer beyond its streams, one
// header block and its output: Input takes nothing while a client doesn't read what it is sent (Blocked).
//
// # Concurrency
//
// Nothing here is for use by several goroutines at a time; that goes for all connections that have a Spare in common.
package h2
