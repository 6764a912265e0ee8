package bench

import (
	"bufio"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// backend answers each HTTP/1.1 request without a body with the same few bytes, and allocates nothing for it.
func backend(b *testing.B) (addr string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var (
		wg   sync.WaitGroup
		open []net.Conn // the accept loop's until it has ended
	)
	accepts := make(chan struct{})
	go func() {
		defer close(accepts)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
			wg.Go(func() { answerAll(c) })
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

func answerAll(c net.Conn) {
	defer func() { _ = c.Close() }()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + strconv.Itoa(len(small)) + "\r\n\r\n" + small)
	r := bufio.NewReader(c)
	for {
		if _, err := skipHead(r, "GET"); err != nil {
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

// client does one HTTP/1.1 request after the other over one connection, and allocates nothing for it.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
}

func newClient(b *testing.B, addr string) *client {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	request := strings.Join([]string{"GET /some/path HTTP/1.1", "Host: " + host, "User-Agent: bench/1", "Accept: */*", "", ""}, "\r\n")
	return &client{conn: c, r: bufio.NewReader(c), request: []byte(request)}
}

var errStatus = errors.New("the answer is not 200 with the whole body")

func (c *client) do() error {
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
	body, err := c.r.Peek(len(small))
	if err != nil {
		return err
	}
	if string(body) != small {
		return errStatus
	}
	_, err = c.r.Discard(len(small))
	return err
}
