package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// client returns an HTTP/1.1 client that connects to the quickstart for every host, with at most conns connections.
func (q *quickstart) client(conns int) *http.Client { return clientOf(q.t, q.addr(), conns) }

func clientOf(t testing.TB, addr string, conns int) *http.Client {
	return &http.Client{Transport: transport(t, addr, conns), Timeout: time.Minute}
}

// h2cClientOf is the same for HTTP/2 with prior knowledge, with one connection.
func h2cClientOf(t testing.TB, addr string) *http.Client {
	tr := transport(t, addr, 1)
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func transport(t testing.TB, addr string, conns int) *http.Transport {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		MaxIdleConnsPerHost: conns,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// answer is a response that was read to its end.
type answer struct {
	status        int
	body          string
	head          http.Header
	sent, arrived time.Time // of the request, and of the response's first byte
	err           error
}

func (a answer) ok() bool { return a.err == nil && a.status == http.StatusOK }

func (a answer) pid() int { return atoi(a.head.Get("X-Pid")) }

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %q %s", a.status, a.body, a.head.Get("Proxy-Status"))
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func itoa(n int) string { return strconv.Itoa(n) }

// do sends a request and reads the whole response.
func do(c *http.Client, r *http.Request) answer {
	a := answer{sent: time.Now()}
	resp, err := c.Do(r)
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = resp.Body.Close() }()
	a.arrived, a.status, a.head = time.Now(), resp.StatusCode, resp.Header
	body, err := io.ReadAll(resp.Body)
	a.body, a.err = string(body), err
	return a
}

func request(method, url, body string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		panic(err)
	}
	return req
}

func get(c *http.Client, url string) answer { return do(c, request(http.MethodGet, url, "")) }

// ask sends a GET in the background, until the test ends.
func (q *quickstart) ask(url string) {
	ctx, cancel := context.WithCancel(context.Background())
	c, done := q.client(1), make(chan struct{})
	go func() {
		defer close(done)
		do(c, request(http.MethodGet, url, "").WithContext(ctx))
	}()
	q.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// mustGet sends a GET, whose status must be 200.
func mustGet(t testing.TB, c *http.Client, url string) answer {
	t.Helper()
	a := get(c, url)
	if !a.ok() {
		t.Fatalf("GET %s: %v", url, a)
	}
	return a
}

// burst sends n requests at once.
func burst(n int, one func(i int) answer) []answer {
	all := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { all[i] = one(i) })
	}
	wg.Wait()
	return all
}

// stats are the counters of one app, asked directly.
type stats struct{ PID, InFlight, Max, Total, Gone, SaidReady int }

func (n note) stats(t testing.TB) stats {
	t.Helper()
	resp, err := http.Get("http://" + n.Addr + "/stats")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var s stats
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}
