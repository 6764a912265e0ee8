package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// Chat makes r.Streams gRPC calls on each of r.Connections. Over each call one message is on its way at a time: the next is
// sent when the app has sent the one before back. After r.Duration it ends all calls. A message counts as a request.
func Chat(ctx context.Context, r Run) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.Target.Header = append([]string{"content-type: " + origin.GRPC, "te: trailers"}, r.Target.Header...)
	began := time.Now()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		took []time.Duration
	)
	for range r.Connections {
		wg.Go(func() {
			c := chat{until: began.Add(r.Duration)}
			err := c.run(ctx, r)
			if err != nil {
				cancel(err)
			}
			mu.Lock()
			took = append(took, c.took...)
			mu.Unlock()
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	if len(took) == 0 {
		return Result{}, errors.New("no message came back")
	}
	return Result{Requests: len(took), Elapsed: time.Since(began)}.summary(took), nil
}

// chat is the calls of a connection.
type chat struct {
	until time.Time
	took  []time.Duration
}

func (c *chat) run(ctx context.Context, r Run) error {
	s, err := openSession(ctx, r.Target.Addr, c.handle)
	if err != nil {
		return err
	}
	defer s.close()
	if err := c.begin(s, r); err != nil {
		return err
	}
	return s.wait(ctx, r.Duration+time.Minute)
}

func (c *chat) begin(s *session, r Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range r.Streams {
		st, err := s.requestLocked(r.Target, "POST", true)
		if err != nil {
			return err
		}
		st.sent = time.Now()
		if err := s.sendLocked(st, message); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

// handle sends the next message when the one before has come back.
func (c *chat) handle(s *session, st *stream) error {
	switch {
	case st.status != "" && st.status != "200":
		return fmt.Errorf("status %s", st.status)
	case len(st.body) >= len(message) && !bytes.Equal(st.body, message):
		return fmt.Errorf("the message came back as %.40q", st.body)
	case st.ended && (!st.closing || st.grpc != "0" || len(st.body) > 0):
		return fmt.Errorf("a call ended early, or with gRPC status %q", st.grpc)
	case st.ended || len(st.body) < len(message):
		return nil
	}
	now := time.Now()
	c.took = append(c.took, now.Sub(st.sent))
	st.body, st.sent = st.body[:0], now
	if now.Before(c.until) {
		return s.sendLocked(st, message)
	}
	st.closing = true
	return s.framer.WriteData(st.id, true, nil)
}
