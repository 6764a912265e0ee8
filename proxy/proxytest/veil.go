package proxytest

import (
	"io"
	"net"
)

// Veil makes a TCP connection that changes every byte on its way, so that the peers understand only bytes that pass through
// its methods. It embeds the socket, as wrappers do.
func Veil(c net.Conn) net.Conn { return &veiled{c.(*net.TCPConn)} }

// VeilListener veils the connections that l accepts.
func VeilListener(l net.Listener) net.Listener { return veiledListener{l} }

type veiledListener struct{ net.Listener }

func (l veiledListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Veil(c), nil
}

type veiled struct{ *net.TCPConn }

func (v *veiled) Read(p []byte) (int, error) {
	n, err := v.TCPConn.Read(p)
	veil(p[:n])
	return n, err
}

func (v *veiled) Write(p []byte) (int, error) {
	p = append([]byte(nil), p...)
	veil(p)
	return v.TCPConn.Write(p)
}

// ReadFrom and WriteTo hide the socket's.
func (v *veiled) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{v}, r) }
func (v *veiled) WriteTo(w io.Writer) (int64, error)  { return io.Copy(w, struct{ io.Reader }{v}) }

func veil(p []byte) {
	for i := range p {
		p[i] ^= 0x80
	}
}
