package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/proxy"
)

// What ends in the middle of a splice, by either end or by the clock, is told as ever, and leaves nothing behind.
func TestSpliceIsCut(t *testing.T) {
	type place struct {
		up, tunnel bool
	}
	within := proxy.Timeouts{Total: 500 * time.Millisecond}
	for _, c := range []struct {
		name     string
		at       place
		timeouts proxy.Timeouts
		client   bool // is it that goes; else the upstream, unless there are timeouts
		reset    bool
		reads    bool // the other end
		why      proxy.Reason
	}{
		{"the upstream closes", place{}, proxy.Timeouts{}, false, false, true, proxy.ResponseTruncated},
		{"the upstream resets", place{}, proxy.Timeouts{}, false, true, true, proxy.ResponseTruncated},
		{"the client closes", place{}, proxy.Timeouts{}, true, false, false, proxy.ClientGone},
		{"the client resets", place{}, proxy.Timeouts{}, true, true, false, proxy.ClientGone},
		{"a timeout", place{}, within, false, false, false, proxy.TimeoutTotal},
		{"up: the client closes", place{up: true}, proxy.Timeouts{}, true, false, true, proxy.ClientGone},
		{"up: the client resets", place{up: true}, proxy.Timeouts{}, true, true, true, proxy.ClientGone},
		{"up: the client resets, the upstream reads nothing", place{up: true}, proxy.Timeouts{}, true, true, false, proxy.ClientGone},
		{"up: the upstream resets", place{up: true}, proxy.Timeouts{}, false, true, false, proxy.UpstreamClosed},
		{"up: a timeout", place{up: true}, within, false, false, false, proxy.TimeoutTotal},
		{"tunnel: the upstream resets", place{tunnel: true}, proxy.Timeouts{}, false, true, true, proxy.UpstreamClosed},
		{"tunnel: the client resets", place{tunnel: true}, proxy.Timeouts{}, true, true, false, proxy.ClientGone},
		{"tunnel: a timeout", place{tunnel: true}, within, false, false, false, proxy.TimeoutTotal},
		{"tunnel, up: the client resets", place{true, true}, proxy.Timeouts{}, true, true, true, proxy.ClientGone},
		{"tunnel, up: the upstream resets", place{true, true}, proxy.Timeouts{}, false, true, false, proxy.UpstreamClosed},
		{"tunnel, up: a timeout", place{true, true}, within, false, false, false, proxy.TimeoutTotal},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent atomic.Int64
			vanish, over := make(chan bool), make(chan bool)
			send := func(to *net.TCPConn) {
				_, _ = io.Copy(to, paced{bytesOf(spliceLarge / 2), &sent})
			}
			leave := func(c *net.TCPConn, reset bool) {
				if reset {
					_ = c.SetLinger(0)
				}
				c.Close()
			}
			r := newSpliceRig(t, c.timeouts, func(conn *net.TCPConn, in *bufio.Reader, _ *http.Request) {
				if c.at.tunnel {
					_, _ = io.WriteString(conn, upgradedTo)
				} else if !c.at.up {
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", spliceLarge)
				}
				var all sync.WaitGroup
				if !c.at.up {
					all.Go(func() { send(conn) })
				} else if c.reads {
					all.Go(func() { _, _ = io.Copy(io.Discard, in) })
				}
				select {
				case <-vanish:
					leave(conn, c.reset)
				case <-over:
				}
				conn.Close()
				all.Wait()
			})
			var conn *net.TCPConn
			var in *bufio.Reader
			switch {
			case c.at.tunnel:
				conn, in = r.upgraded()
			case c.at.up:
				conn, in = r.ask(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", spliceLarge))
			default:
				conn, in = r.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			var all sync.WaitGroup
			if c.at.up {
				all.Go(func() { send(conn) })
			} else if c.reads {
				all.Go(func() { _, _ = io.Copy(io.Discard, in) })
			}
			if c.timeouts.Total == 0 {
				stands(t, &sent, spliceLarge)
				r.spliced()
				if !c.reads {
					r.inUse(1)
				}
				if c.client {
					leave(conn, c.reset)
				} else {
					vanish <- true
				}
			}
			r.ended(c.why)
			close(over)
			conn.Close()
			all.Wait()
			r.inUse(0)
		})
	}
}
