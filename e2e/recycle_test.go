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

// TestF16POSTsToAServerThatRecyclesConnections: the app closes each connection after ten requests without a word, when the
// next one comes, as one does that recycles its workers; clients make a connection for each request, so that without a proxy
// none of them notices.
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
	// One for each client at the first such close, and when a while is over, which becomes longer each time.
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
		all.Go(func() { // what is kept for another request is closed at the end
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
