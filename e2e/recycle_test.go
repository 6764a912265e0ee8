package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
)

// TestF16POSTsToAServerThatRecyclesConnections has an app that closes each connection at its eleventh request without an
// announcement, as servers do that recycle their workers. Clients open a connection for each request, so that without a proxy
// no request fails.
func TestF16POSTsToAServerThatRecyclesConnections(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "")
	p := c.pod("one")
	recycling(t, "127.0.0.1:"+strconv.Itoa(p.appPort))
	c.pods("", p)
	client := clientOf(t, c.addr, 1)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	const clients, requests = 4, 2000
	failed := 0
	var mu sync.Mutex
	burst(clients, func(int) (last answer) {
		for range requests / clients {
			if last = do(client, request(http.MethodPost, c.url("/"), "body")); !last.ok() {
				mu.Lock()
				failed++
				mu.Unlock()
			}
		}
		return last
	})
	t.Logf("%d of %d failed", failed, requests)
	// One POST of each client may fail at the first such close, and after each period of new connections, which get longer.
	if failed > 4*clients {
		t.Errorf("%d of %d POSTs failed", failed, requests)
	}
}

// recycling serves at addr until the test ends.
func recycling(t testing.TB, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended); l.Close(); all.Wait() })
	serve := func(conn net.Conn) {
		served := make(chan struct{})
		all.Go(func() { // connections that are kept are closed at the end
			select {
			case <-served:
			case <-ended:
			}
			conn.Close()
		})
		defer close(served)
		in := bufio.NewReader(conn)
		for range 10 {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
		_, _ = in.Peek(1) // the next request is on its way
	}
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(conn) })
		}
	})
}
