package netio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A conn is a connection like any other: what doesn't fit waits, deadlines and ends are told, by halves too.
func TestRawConn(t *testing.T) {
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			l, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			near, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			far, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c, d := Raw(near), Raw(far)
			defer c.Close()
			defer d.Close()

			_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("nothing to read: %d, %v", n, err)
			}
			_ = c.SetReadDeadline(time.Time{})
			_ = c.SetWriteDeadline(time.Unix(1, 0))
			if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("too late to write: %d, %v", n, err)
			}
			_ = c.SetWriteDeadline(time.Time{})

			much := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // more than sockets hold
			go func() {
				_, _ = c.Write(much)
				_ = c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, much) {
				t.Errorf("%d bytes of %d came, %v", len(got), len(much), err)
			}
			if _, err := io.WriteString(d, "and back"); err != nil {
				t.Error(err)
			}
			d.Close()
			if got, err := io.ReadAll(c); err != nil || string(got) != "and back" {
				t.Errorf("%q, %v", got, err)
			}
			if n, err := d.Read(make([]byte, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("a read after the end: %d, %v", n, err)
			}
			if n, err := d.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("a write after the end: %d, %v", n, err)
			}
		})
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Raw(a) != a {
		t.Error("what has no socket is left alone")
	}
}
