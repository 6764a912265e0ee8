package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// corked is a client's connection whose writes wait, so that all of them go out with the FIN in one segment.
func corked(t *testing.T, addr string, config *tls.Config) (c net.Conn, cork func(on bool)) {
	t.Helper()
	tcp, _ := dialTCP(t, addr)
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cork = func(on bool) {
		t.Helper()
		value := 0
		if on {
			value = 1
		}
		if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, value) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
	}
	if config == nil {
		return tcp, cork
	}
	return tls.Client(tcp, &tls.Config{InsecureSkipVerify: true}), cork
}

// A FIN that comes in one segment with part of a head ends the connection, whatever came before it: epoll tells of both
// together, and a read that leaves room may have left the end.
func TestF2FinTogetherWithPartOfAHead(t *testing.T) {
	t.Parallel()
	made := httptest.NewUnstartedServer(nil) // for its certificate
	made.StartTLS()
	defer made.Close()
	const part = "GET /next HTTP/1.1\r\nHo"
	for name, config := range map[string]*tls.Config{"clear": nil, "TLS": {Certificates: made.TLS.Certificates}} {
		for what, last := range map[string]struct {
			kept bool // after a request
			sent string
		}{
			"kept":              {true, part},
			"kept, a request":   {true, askNothing + part},
			"kept, two":         {true, askNothing + askNothing + part},
			"fresh":             {false, part},
			"fresh, a request":  {false, askNothing + part},
			"kept, a first CR":  {true, "\r"},
			"kept, a lone line": {true, "\r\n"},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				e, addr := sleeper(t, config)
				conns := 200
				if config != nil {
					conns = 20 // handshakes take long
				}
				for range conns {
					c, cork := corked(t, addr, config)
					if last.kept {
						askOnce(t, c, askNothing)
					} else if s, ok := c.(*tls.Conn); ok {
						if err := s.Handshake(); err != nil {
							t.Fatal(err)
						}
					}
					cork(true)
					if _, err := io.WriteString(c, last.sent); err != nil {
						t.Fatal(err)
					}
					if s, ok := c.(*tls.Conn); ok {
						c = s.NetConn()
					}
					if err := c.(*net.TCPConn).CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
				e.gone(t)
			})
		}
	}
}

// Shutdown waits for requests: a head that isn't complete is none, but one that has just begun gets a moment.
func TestF2ShutdownInTheMiddleOfHeads(t *testing.T) {
	t.Parallel()
	made := httptest.NewUnstartedServer(nil) // for its certificate
	made.StartTLS()
	defer made.Close()
	for name, config := range map[string]*tls.Config{"clear": nil, "TLS": {Certificates: made.TLS.Certificates}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, addr := sleeper(t, config)
			var all []net.Conn
			for i := range 40 {
				c, _ := corked(t, addr, config)
				if i%2 == 0 {
					askOnce(t, c, askNothing)
				}
				if _, err := io.WriteString(c, askNothing[:9]); err != nil {
					t.Fatal(err)
				}
				all = append(all, c)
			}
			e.inHeads(t, len(all))
			begun := e.since(time.Now())
			if e.quiet(begun) {
				t.Error("there is nothing left")
			}
			served := all[len(all)-4:]
			for _, c := range served {
				askOnce(t, c, askNothing[9:])
			}
			e.inHeads(t, len(all)-len(served))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a head has 30
			defer cancel()
			if err := e.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			for _, c := range all {
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("an answer has come")
				}
			}
		})
	}
}

// inHeads blocks until n of the connections are in the middle of a head.
func (e *Engine) inHeads(t *testing.T, n int) {
	t.Helper()
	e.inPhase(t, clientHead, "in the middle of a head", n)
}
