package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/proto"
)

// senderConn is one websocket. serve writes; goroutines that it waits for read
// and ping.
type senderConn struct {
	sender *StatSender
	ws     *websocket.Conn
	pong   atomic.Pointer[time.Time] // when the last one came
	wire   []byte                    // encoding buffer of the writer
	// pings that wait for their pong; added to by ping alone.
	pings sync.WaitGroup
}

func (c *senderConn) dial(ctx context.Context, t *http.Transport) error {
	ctx, cancel := context.WithTimeout(ctx, c.sender.config.DialTimeout)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, c.sender.config.URL, &websocket.DialOptions{
		HTTPClient:     &http.Client{Transport: t},
		OnPongReceived: func(context.Context, []byte) { c.gotPong() },
	})
	if err != nil {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return fmt.Errorf("metrics: connect to the autoscaler: %w", err)
	}
	c.ws = ws
	c.gotPong()
	return nil
}

func (c *senderConn) gotPong() {
	now := time.Now()
	c.pong.Store(&now)
}

// serve sends until the connection breaks or life ends (an error), or until
// ctx is done and the buffer is empty (nil).
func (c *senderConn) serve(ctx, life context.Context) error {
	connected, fail := context.WithCancelCause(life)
	var wg sync.WaitGroup
	wg.Go(func() { fail(c.read(connected)) })
	wg.Go(func() { fail(c.ping(connected)) })
	err := c.write(ctx, connected)
	if err == nil {
		// Waits for the peer's close frame, at most until life ends: that
		// ends the read, which closes the socket.
		_ = c.ws.Close(websocket.StatusNormalClosure, "")
	}
	fail(err)
	_ = c.ws.CloseNow()
	wg.Wait()
	c.pings.Wait()
	return err
}

func (c *senderConn) write(ctx, connected context.Context) error {
	q := &c.sender.queue
	for {
		o, ok := q.pop(time.Now())
		if ok {
			if err := c.encode(o); err != nil {
				q.discard() // it can't be encoded for any connection
				continue
			}
			if err := c.send(connected); err != nil {
				q.putBack(o)
				return err
			}
			c.sender.sent.Add(1)
			continue
		}
		select {
		case <-connected.Done():
			return context.Cause(connected)
		case <-q.wake:
		case <-ctx.Done():
			if q.len() == 0 {
				return nil
			}
		}
	}
}

func (c *senderConn) encode(o outgoing) (err error) {
	c.wire, err = proto.MarshalOptions{}.MarshalAppend(c.wire[:0], o.m)
	return err
}

func (c *senderConn) send(connected context.Context) error {
	ctx, cancel := context.WithTimeout(connected, c.sender.config.WriteTimeout)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageBinary, c.wire); err != nil {
		if cause := context.Cause(connected); cause != nil {
			err = cause // why the socket was closed under the write
		}
		return fmt.Errorf("metrics: send to the autoscaler: %w", err)
	}
	return nil
}

// read discards what the peer sends; pongs and the close frame come with it.
func (c *senderConn) read(connected context.Context) error {
	for {
		_, r, err := c.ws.Reader(connected)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return fmt.Errorf("metrics: the autoscaler's connection ended: %w", err)
		}
	}
}

// ping sends one ping each PingInterval and returns ErrNoPong when none was
// answered for PongTimeout.
func (c *senderConn) ping(connected context.Context) error {
	timeout := c.sender.config.PongTimeout
	every := time.NewTicker(c.sender.config.PingInterval)
	defer every.Stop()
	expiry := time.NewTimer(timeout)
	defer expiry.Stop()
	for {
		select {
		case <-connected.Done():
			return context.Cause(connected)
		case <-expiry.C:
			left := time.Until(c.pong.Load().Add(timeout))
			if left <= 0 {
				return ErrNoPong
			}
			expiry.Reset(left)
		case <-every.C:
			// Ping blocks until its pong, which must not delay the next ping. If
			// its deadline passes during the write the socket is closed, so it
			// is no shorter than PongTimeout; at most PongTimeout/PingInterval
			// pings are outstanding.
			c.pings.Go(func() {
				ctx, cancel := context.WithTimeout(connected, timeout)
				defer cancel()
				_ = c.ws.Ping(ctx) // a broken socket also ends read
			})
		}
	}
}
