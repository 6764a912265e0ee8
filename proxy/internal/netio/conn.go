package netio

import (
	"net"
	"syscall"
)

// conn is a socket that is read and written as by an Engine: see Read. One goroutine may read while another
// writes.
type conn struct {
	net.Conn
	raw syscall.RawConn

	in     []byte
	got    int
	failed error
	reader func(fd uintptr) bool

	out    []byte
	writer func(fd uintptr) bool
}

// Socket gives access to the socket that c is, and nil if c is anything more. What only embeds a socket has a SyscallConn
// too, but Read and Write of its own, which must not be gone round.
func Socket(c net.Conn) (raw syscall.RawConn) {
	switch c := c.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

// Raw makes a conn of a socket, and leaves alone what is more than that.
func Raw(c net.Conn) net.Conn {
	raw := Socket(c)
	if !Reads || raw == nil {
		return c
	}
	r := &conn{Conn: c, raw: raw}
	r.reader, r.writer = r.readStep, r.writeStep
	return r
}

// NetConn is for socketOf.
func (r *conn) NetConn() net.Conn { return r.Conn }

// CloseWrite passes a half-close on.
func (r *conn) CloseWrite() error { return r.Conn.(interface{ CloseWrite() error }).CloseWrite() }

func (r *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return r.Conn.Read(p)
	}
	r.in = p
	err := r.raw.Read(r.reader)
	r.in = nil
	if err != nil {
		return 0, err
	}
	return r.got, r.failed
}

func (r *conn) readStep(fd uintptr) (done bool) {
	var wait bool
	r.got, wait, r.failed = Read(fd, r.in)
	return !wait
}

// Write leaves what there is no room for to the connection, and what is wrong.
func (r *conn) Write(p []byte) (n int, err error) {
	r.out = p
	if err := r.raw.Write(r.writer); err != nil {
		return 0, err
	}
	n, r.out = len(p)-len(r.out), nil
	if n == len(p) {
		return n, nil
	}
	m, err := r.Conn.Write(p[n:])
	return n + m, err
}

func (r *conn) writeStep(fd uintptr) (done bool) {
	r.out = r.out[Write(fd, r.out):]
	return true
}
