package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// Crowd is many HTTP/1.1 connections to one address. Only one goroutine may call its methods.
type Crowd struct {
	conns   []net.Conn
	request []byte
}

// workers is how many connections are opened or read at a time.
const workers = 32

// Gather opens n connections and sends nothing. Close closes them.
func Gather(ctx context.Context, t Target, n int) (*Crowd, error) {
	head := []string{"GET " + t.Path + " HTTP/1.1", "Host: " + Host}
	c := &Crowd{conns: make([]net.Conn, n), request: []byte(strings.Join(append(head, t.Header...), "\r\n") + "\r\n\r\n")}
	var d net.Dialer
	err := each(ctx, n, func(ctx context.Context, i int) (err error) {
		c.conns[i], err = d.DialContext(ctx, "tcp", t.Addr)
		return err
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Send sends a request over each connection.
func (c *Crowd) Send(ctx context.Context) error {
	return each(ctx, len(c.conns), func(_ context.Context, i int) error {
		_, err := c.conns[i].Write(c.request)
		return err
	})
}

// Receive waits up to a minute for one answer on each connection, and fails unless all are the small answer.
func (c *Crowd) Receive(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.cut)()
	return each(ctx, len(c.conns), c.receive)
}

// Exchange sends a request on each connection and waits for its answer, on some of them at a time.
func (c *Crowd) Exchange(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.cut)()
	return each(ctx, len(c.conns), func(ctx context.Context, i int) error {
		if _, err := c.conns[i].Write(c.request); err != nil {
			return err
		}
		return c.receive(ctx, i)
	})
}

func (c *Crowd) receive(ctx context.Context, i int) error {
	if err := c.conns[i].SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if ctx.Err() != nil { // cut may have come before the deadline was set
		return ctx.Err()
	}
	resp, err := http.ReadResponse(bufio.NewReader(c.conns[i]), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(body) != origin.Hello) {
		err = fmt.Errorf("%s: %.80s", resp.Status, strings.TrimSpace(string(body)))
	}
	return err
}

// cut ends the waits for answers.
func (c *Crowd) cut() {
	for _, conn := range c.conns {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close closes the connections that are open.
func (c *Crowd) Close() {
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// each calls do n times, some at a time, until one fails or ctx ends. The error has the number of calls that succeeded.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg         sync.WaitGroup
		next, done atomic.Int64
	)
	for range min(workers, n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	err := context.Cause(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("after %d of %d: %w", done.Load(), n, err)
	}
	return err
}
