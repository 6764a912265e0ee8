package bench

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

// backend starts an app for the load. With HTTP/1.1 it allocates nothing for a request.
func (l load) backend(b *testing.B) (addr string) {
	if l.proto == "h2" {
		return l.backendHTTP2(b)
	}
	return rawBackend(b, l.up, l.down)
}

// clients makes a client for each connection, or each stream of HTTP/2.
func (l load) clients(b *testing.B, addr string) []client {
	all := make([]client, conns)
	if l.proto == "h2" {
		l.clientsHTTP2(addr, all)
		return all
	}
	for i := range all {
		all[i] = newRawClient(b, addr, l.up, l.down)
	}
	return all
}

// rawBackend answers each HTTP/1.1 request, whose body has up bytes, with the same down bytes.
func rawBackend(b *testing.B, up, down int) (addr string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var (
		wg   sync.WaitGroup
		open []net.Conn // the accept loop's until it has ended
	)
	answer := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", down))
	answer = append(answer, make([]byte, down)...)
	accepts := make(chan struct{})
	go func() {
		defer close(accepts)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
			wg.Go(func() { answerAll(c, up, answer) })
		}
	}()
	b.Cleanup(func() {
		_ = l.Close()
		<-accepts
		for _, c := range open {
			_ = c.Close()
		}
		wg.Wait()
	})
	return l.Addr().String()
}

func answerAll(c net.Conn, up int, answer []byte) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	for {
		if _, err := skipHead(r, ""); err != nil {
			return
		}
		if _, err := r.Discard(up); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// skipHead reads to the end of a head and reports whether its first line begins with start.
func skipHead(r *bufio.Reader, start string) (starts bool, err error) {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		if first {
			starts = strings.HasPrefix(string(line), start)
		}
		if len(line) <= len("\r\n") {
			return starts, nil
		}
	}
}

// rawClient sends one HTTP/1.1 request after the other over one connection, without allocating.
type rawClient struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
	down    int
}

func newRawClient(b *testing.B, addr string, up, down int) *rawClient {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	request := "GET /some/path HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench/1\r\nAccept: */*\r\n"
	if up > 0 {
		request = fmt.Sprintf("POST%sContent-Length: %d\r\n", strings.TrimPrefix(request, "GET"), up)
	}
	return &rawClient{c, bufio.NewReader(c), append([]byte(request+"\r\n"), make([]byte, up)...), down}
}

var errStatus = errors.New("the answer is not 200 with the whole body")

func (c *rawClient) do() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	ok, err := skipHead(c.r, "HTTP/1.1 200 ")
	if err != nil {
		return err
	}
	if !ok {
		return errStatus
	}
	_, err = c.r.Discard(c.down)
	return err
}

func (c *rawClient) close() { _ = c.conn.Close() }
