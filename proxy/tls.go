package proxy

import (
	"crypto/tls"
	"net"
)

// NewTLSListener makes connections accepted by l speak TLS, for the Serve of a server of NewServer. Beside what ALPN
// chooses they take the HTTP/2 preface from a client that offers no ALPN, as Knative's activator sends it (net/http by
// itself asks for ALPN). Accept doesn't wait for a handshake: that is done on the connection's own goroutine, within
// ServerConfig.HeadTimeout. config is used as it is at each handshake, so its GetCertificate or GetConfigForClient may
// give new certificates; its NextProtos should be h2 and http/1.1.
func NewTLSListener(l net.Listener, config *tls.Config) net.Listener {
	return &tlsListener{l, config}
}

type tlsListener struct {
	net.Listener
	config *tls.Config
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tlsConn{tls.Server(c, l.config)}, nil
}

// tlsConn keeps net/http from seeing that there is TLS, and so from leaving HTTP/2 to ALPN alone: the preface tells.
type tlsConn struct{ net.Conn }

// NetConn is for ConnContext, which looks for the socket.
func (c *tlsConn) NetConn() net.Conn { return c.Conn }

// CloseWrite is what net/http calls before it closes a connection whose client may still send.
func (c *tlsConn) CloseWrite() error { return c.Conn.(*tls.Conn).CloseWrite() }
