package h2

import "time"

// Config of Conn.Init.
type Config struct {
	// Client is the end that opens streams.
	Client bool
	// MaxStreams is how many streams may be open: a server announces it (SETTINGS_MAX_CONCURRENT_STREAMS) and refuses more, a
	// client opens no more even if the server allows them; 0 is no bound of a client's own.
	MaxStreams uint32
	// StreamWindow is announced as SETTINGS_INITIAL_WINDOW_SIZE: what a stream may receive beyond what was credited.
	StreamWindow int32
	// ConnWindow is the same of the connection, which is credited on receipt. The protocol has no less than 65535.
	ConnWindow int32
	// MaxHead bounds a head or a trailer section in bytes, as SETTINGS_MAX_HEADER_LIST_SIZE counts them (RFC 9113 §6.5.2), and
	// MaxFields its fields.
	MaxHead, MaxFields int
	// Connect allows extended CONNECT (RFC 8441). A server's.
	Connect bool
	// MaxOut is how many bytes of output there may be for WriteData to take more.
	MaxOut int
	// Intern, when not nil, makes the strings of literals in heads.
	Intern func([]byte) string
	// Now is asked for the time when a peer has used up a bound that time renews, which is rare. nil: time renews none, which is
	// for tests: a connection that lives long, with a PING now and then, reaches each bound in the end.
	Now func() time.Time
	// Spare, when not nil, is the memory that connections with the same lock share.
	Spare *Spare
}
