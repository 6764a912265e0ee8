package load

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bench/internal/origin"
)

// Streams is many HTTP/2 connections to one address, with requests over each. Only one goroutine may call its methods.
type Streams struct {
	target   Target
	each     int // requests at a time over each connection
	sessions []*session
}

// GatherStreams opens connections, over which Send and Exchange send requests at a time. Close closes them.
func GatherStreams(ctx context.Context, t Target, connections, requests int) (*Streams, error) {
	c := &Streams{target: t, each: requests, sessions: make([]*session, connections)}
	err := each(ctx, connections, func(ctx context.Context, i int) (err error) {
		c.sessions[i], err = openSession(ctx, t.Addr, small)
		return err
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// small fails unless a response that has ended is the small answer.
func small(_ *session, st *stream) error {
	if st.ended && (st.status != "200" || string(st.body) != origin.Hello) {
		return fmt.Errorf("%s: %.80s", st.status, strings.TrimSpace(string(st.body)))
	}
	return nil
}

// Send sends the requests of each connection.
func (c *Streams) Send(ctx context.Context) error {
	return each(ctx, len(c.sessions), func(_ context.Context, i int) error { return c.send(c.sessions[i]) })
}

func (c *Streams) send(s *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for range c.each {
		if _, err := s.requestLocked(c.target, "GET", false); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

// Receive waits up to a minute for the answers on each connection, and fails unless all are the small answer.
func (c *Streams) Receive(ctx context.Context) error {
	return each(ctx, len(c.sessions), func(ctx context.Context, i int) error { return c.sessions[i].wait(ctx, time.Minute) })
}

// Exchange sends requests on each connection and waits for their answers, on some of them at a time.
func (c *Streams) Exchange(ctx context.Context) error {
	return each(ctx, len(c.sessions), func(ctx context.Context, i int) error {
		if err := c.send(c.sessions[i]); err != nil {
			return err
		}
		return c.sessions[i].wait(ctx, time.Minute)
	})
}

// Close closes the connections that are open.
func (c *Streams) Close() {
	for _, s := range c.sessions {
		if s != nil {
			s.close()
		}
	}
}
