package proxy

import (
	"cmp"
	"io"
	"log"
	"net/http"
	"net/netip"
	"time"
)

// Defaults of ServerConfig.
const (
	DefaultHeadTimeout = 30 * time.Second
	DefaultIdleTimeout = 5 * time.Minute
	DefaultMaxTarget   = 64 << 10  // what Rust's http crate, and so linkerd, takes; RFC 9112 §3 asks for 8000 at least
	DefaultMaxHead     = 256 << 10 // Envoy's is 60 KiB, Go's 1 MiB
	DefaultMaxFields   = 1000      // Envoy's is 100, Go has none
	// The memory of these is that of a process with 1 GiB: an eighth of it each for connections at 2 KiB, for those
	// inside TLS at 16 KiB and for those of HTTP/2 at 8 KiB, about twice what they take when idle, and a sixteenth for heads.
	DefaultMaxConns           = 65536
	DefaultMaxTLSConns        = 8192
	DefaultMaxHTTP2Conns      = 16384
	DefaultMaxUnfinishedHeads = 64 << 20
	DefaultMaxHeld            = 128 << 20
	DefaultMaxStreams         = 1000
	DefaultStreamWindow       = 1 << 20
)

// ServerConfig of NewServer. The zero value of each field is its documented default; there is no way to have none.
type ServerConfig struct {
	// HeadTimeout bounds the reading of a request's head, TLS handshake included. 0: DefaultHeadTimeout. Bodies have
	// no such bound: Upstream.Timeouts are theirs.
	HeadTimeout time.Duration
	// IdleTimeout is how long a connection is kept without a request. 0: DefaultIdleTimeout, which is longer than a
	// load balancer's usual minute, so that it is the client who closes and no request meets a closing connection.
	IdleTimeout time.Duration
	// MaxTarget bounds a request's target in bytes; longer ones get 414. 0: DefaultMaxTarget.
	MaxTarget int
	// MaxHead bounds a request's head in bytes, its first line included; larger ones get 431. 0: DefaultMaxHead. Of HTTP/2
	// it is SETTINGS_MAX_HEADER_LIST_SIZE, for which each field counts 32 bytes more (RFC 9113 §6.5.2).
	MaxHead int
	// MaxFields bounds the fields of a request; more get 431. 0: DefaultMaxFields.
	MaxFields int
	// MaxConns bounds the connections of clients, MaxTLSConns those among them that are inside TLS, from the beginning of
	// their handshake, and MaxHTTP2Conns those that speak HTTP/2, inside TLS or not. A connection more takes the place of
	// the one that has been without a request for longest, or is closed if there is none. An address (of IPv6: a /64) has no
	// more of them than are free: half of all when it is alone, and a newcomer always finds a place. 0: DefaultMaxConns,
	// DefaultMaxTLSConns, DefaultMaxHTTP2Conns. Engine's.
	MaxConns, MaxTLSConns, MaxHTTP2Conns int
	// MaxUnfinishedHeads bounds the memory of the heads of HTTP/1.1 of which a part has come, in bytes, at 8 KiB each at
	// least. When there are more the oldest gets 408. 0: DefaultMaxUnfinishedHeads; four times MaxHead at least. Engine's.
	MaxUnfinishedHeads int64
	// MaxHeld bounds the memory of what requests of HTTP/2 have us hold, their heads (unfinished ones, too) and what waits of bodies, in
	// bytes beyond 64 KiB for each connection; shared by addresses as connections are. A request for whose head there is no room gets
	// 503, and one that is in progress ends when there is none for what has come. 0: DefaultMaxHeld. Engine's.
	MaxHeld int64
	// Proxies are the addresses through which many clients come, such as an ingress: they may have all connections.
	Proxies []netip.Prefix
	// OnRejected, when not nil, is called for what is rejected before a policy sees it: a connection of HTTP/1.1 that ends
	// because it carried no valid request (malformed, too large, or too slow, with status 408), and a request of HTTP/2 beyond
	// MaxTarget, MaxHead or MaxFields. It must not block.
	OnRejected func(remote string, err *Error)
	// MaxStreams bounds the requests in progress on one HTTP/2 connection. 0: DefaultMaxStreams.
	MaxStreams int
	// StreamWindow is how many bytes of a body one HTTP/2 stream may send ahead of the upstream. 0: DefaultStreamWindow. A
	// connection may send four times as many, less than 4 MiB.
	StreamWindow int
	// FreeMemory, when not nil, is called by an Engine, on a goroutine of its own, when a thousand or more connections and
	// requests that wait have given up their goroutines and no more do for a second: their stacks stay with the process
	// until a collection, and where nothing is allocated that is two minutes away. A program that does little besides
	// sets debug.FreeOSMemory, which collects the garbage of all of the process. nil: nothing is forced.
	FreeMemory func()
	// ErrorLog gets what net/http has to say of broken connections and handshakes. nil: nobody does.
	ErrorLog *log.Logger
}

// NewServer makes a server that speaks HTTP/1.1 and HTTP/2 on each port: in the clear by prior knowledge (RFC 9113
// §3.3), inside TLS by ALPN, or by prior knowledge there too on a listener of NewTLSListener. It watches clients for the
// Handlers below h. The caller listens, serves and shuts down. It sends no pings: a client that has vanished without an end of
// its connection is found out by TCP's keep-alive, which Go's listeners and dialers have on by default: 15 s of silence, then
// nine probes 15 s apart, so after two and a half minutes (net.KeepAliveConfig); while something is on its way to it, when the
// system gives up sending that again, or by Upstream.Timeouts.
func NewServer(h http.Handler, c ServerConfig) *http.Server {
	s := &http.Server{
		Handler:           &bounded{h, c.withLimits()},
		ReadHeaderTimeout: cmp.Or(c.HeadTimeout, DefaultHeadTimeout),
		IdleTimeout:       cmp.Or(c.IdleTimeout, DefaultIdleTimeout),
		MaxHeaderBytes:    cmp.Or(c.MaxHead, DefaultMaxHead),
		ErrorLog:          cmp.Or(c.ErrorLog, log.New(io.Discard, "", 0)),
		ConnContext:       ConnContext,
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:      cmp.Or(c.MaxStreams, DefaultMaxStreams),
			MaxReceiveBufferPerStream: cmp.Or(c.StreamWindow, DefaultStreamWindow),
		},
		// `OPTIONS *` is for the app.
		DisableGeneralOptionsHandler: true,
	}
	s.HTTP2.MaxReceiveBufferPerConnection = min(max(4*s.HTTP2.MaxReceiveBufferPerStream, 64<<10), 4<<20-1)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}
