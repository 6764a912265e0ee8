package metrics

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

// Errors of a StatSender.
var (
	// ErrNoPong ends a connection, and is passed to OnState: no ping was answered for PongTimeout.
	ErrNoPong = errors.New("metrics: no pong from the autoscaler")
	// ErrSenderRunning is returned by Run while another Run has not returned.
	ErrSenderRunning = errors.New("metrics: the sender is running already")
)

// StatSenderConfig says where messages go. The zero value of each field but URL
// stands for its default.
type StatSenderConfig struct {
	// URL of the autoscaler: ws:// or wss://. Required.
	URL string
	// Buffer is how many messages wait while the connection is down or slow;
	// beyond it the oldest is dropped. Default 128.
	Buffer int
	// MaxAge is how long a message may wait; an older one is dropped instead
	// of sent. The autoscaler counts a message for the second in which it
	// arrives, so a backlog would look like a peak. With the default of 1 s
	// the newest report is kept. Negative: no limit.
	MaxAge time.Duration
	// PingInterval is the time between two pings. Default 10 s / 3 (contract).
	PingInterval time.Duration
	// PongTimeout without a pong means a broken connection. Default 10 s
	// (contract).
	PongTimeout time.Duration
	// DialTimeout bounds one attempt to connect, handshake included, and
	// WriteTimeout one message. Default 5 s and 10 s.
	DialTimeout, WriteTimeout time.Duration
	// MinBackoff is the longest pause after the first failure. It doubles
	// with each further one up to MaxBackoff; each pause is drawn at random
	// from the upper half. Default 100 ms and 30 s. A connection that outlived
	// a PingInterval starts over at MinBackoff.
	MinBackoff, MaxBackoff time.Duration
	// FlushTimeout is how long Run goes on after its context is done, to
	// send what is buffered. Default 1 s.
	FlushTimeout time.Duration
	// OnState, if not nil, is called when the sender has connected, or when it
	// has lost the connection or can't connect, and why. It is called by Run,
	// which waits for it. Once the context of Run is done, the end of a
	// connection is (false, nil).
	OnState func(connected bool, err error)
}

// Validate reports the first field that can't be used.
func (c StatSenderConfig) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("metrics: StatSenderConfig.URL: %w", err)
	}
	if u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return fmt.Errorf("metrics: StatSenderConfig.URL %q is not ws://host or wss://host", c.URL)
	}
	if c.Buffer < 0 {
		return fmt.Errorf("metrics: StatSenderConfig.Buffer %d is negative", c.Buffer)
	}
	for _, d := range []time.Duration{c.PingInterval, c.PongTimeout, c.DialTimeout, c.WriteTimeout, c.MinBackoff, c.MaxBackoff, c.FlushTimeout} {
		if d < 0 {
			return fmt.Errorf("metrics: StatSenderConfig has a negative duration: %v", d)
		}
	}
	if d := c.withDefaults(); d.MinBackoff > d.MaxBackoff {
		return fmt.Errorf("metrics: StatSenderConfig.MinBackoff %v exceeds MaxBackoff %v", d.MinBackoff, d.MaxBackoff)
	}
	return nil
}

func (c StatSenderConfig) withDefaults() StatSenderConfig {
	for _, f := range []struct {
		d   *time.Duration
		def time.Duration
	}{
		{&c.MaxAge, time.Second},
		{&c.PingInterval, 10 * time.Second / 3},
		{&c.PongTimeout, 10 * time.Second},
		{&c.DialTimeout, 5 * time.Second},
		{&c.WriteTimeout, 10 * time.Second},
		{&c.MinBackoff, 100 * time.Millisecond},
		{&c.MaxBackoff, 30 * time.Second},
		{&c.FlushTimeout, time.Second},
	} {
		if *f.d == 0 {
			*f.d = f.def
		}
	}
	if c.Buffer == 0 {
		c.Buffer = 128
	}
	return c
}

// StatSender sends messages to the autoscaler over one websocket, in the order of
// Send, and connects again when it breaks. Run owns the connection and all
// goroutines. The other methods may be called at any time, concurrently, and
// never block.
//
// A message arrives whole at most once: one whose sending failed is sent again on
// the next connection; one that was still in the socket's buffer when the
// connection broke may be lost.
type StatSender struct {
	config    StatSenderConfig
	queue     outbox
	running   atomic.Bool
	connected atomic.Bool
	sent      atomic.Uint64 // messages that were written to a connection
	errors    atomic.Uint64
}

// NewStatSender returns a sender that buffers until Run, or the error of Validate.
func NewStatSender(c StatSenderConfig) (*StatSender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	return &StatSender{config: c, queue: outbox{
		ring:   make([]outgoing, c.Buffer),
		maxAge: c.MaxAge,
		wake:   make(chan struct{}, 1),
	}}, nil
}

// Send queues m. The caller must not change m afterwards.
func (s *StatSender) Send(m *statpb.WireStatMessages) {
	s.queue.push(outgoing{m: m, at: time.Now()})
}

// Connected says whether the websocket is up.
func (s *StatSender) Connected() bool { return s.connected.Load() }

// Dropped counts messages that were pushed out of a full buffer, grew older
// than MaxAge or can't be encoded (a name that is no UTF-8).
func (s *StatSender) Dropped() uint64 { return s.queue.droppedSoFar() }

// Errors counts failed attempts to connect and broken connections.
func (s *StatSender) Errors() uint64 { return s.errors.Load() }

// Run connects and sends until ctx is done, then tries for FlushTimeout to
// send what is buffered, closes the connection and returns nil. It returns
// ErrSenderRunning at once if the sender is running already.
func (s *StatSender) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return ErrSenderRunning
	}
	defer s.running.Store(false)

	// All work is done under life, which ends later than ctx by the time to flush.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	wg.Go(func() { s.outlast(ctx, life, end) })

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	s.stayConnected(ctx, life, transport)
	return nil
}

// stayConnected returns when ctx is done and nothing more can be flushed.
func (s *StatSender) stayConnected(ctx, life context.Context, t *http.Transport) {
	reported := false // OnState has been called with false since the last connection
	for failures := 0; ; failures++ {
		up, err := s.session(ctx, life, t)
		if err == nil || life.Err() != nil {
			return
		}
		s.errors.Add(1)
		if !reported && up == 0 && ctx.Err() == nil {
			s.report(false, err)
		}
		reported = true
		if up > s.config.PingInterval {
			failures = 0
		}
		if !s.pause(ctx, failures) {
			break
		}
	}
	if s.queue.len() > 0 {
		_, _ = s.session(ctx, life, t) // one more attempt, for what is left
	}
}

// outlast ends life when the time to flush is over, at once if there is
// nothing to flush and no connection to close.
func (s *StatSender) outlast(ctx, life context.Context, end func()) {
	select {
	case <-life.Done():
		return
	case <-ctx.Done():
	}
	if !s.Connected() && s.queue.len() == 0 {
		end()
		return
	}
	t := time.NewTimer(s.config.FlushTimeout)
	defer t.Stop()
	select {
	case <-life.Done():
	case <-t.C:
		end()
	}
}

// session is one connection from dial to end. The time that it was up is 0 if
// there was none; the error is nil if ctx ended it and all was sent. OnState is
// called for a connection and for its end, not for a failure to connect.
func (s *StatSender) session(ctx, life context.Context, t *http.Transport) (up time.Duration, err error) {
	c := &senderConn{sender: s}
	if err := c.dial(life, t); err != nil {
		return 0, err
	}
	began := time.Now()
	s.connected.Store(true)
	s.report(true, nil)
	err = c.serve(ctx, life)
	s.connected.Store(false)
	why := err
	if ctx.Err() != nil {
		why = nil
	}
	s.report(false, why)
	return max(time.Since(began), 1), err
}

// pause waits before the next attempt; it returns false when ctx is done.
func (s *StatSender) pause(ctx context.Context, failures int) bool {
	t := time.NewTimer(s.config.backoff(failures))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (c StatSenderConfig) backoff(failures int) time.Duration {
	d := c.MinBackoff
	for range failures {
		if d >= c.MaxBackoff/2 {
			d = c.MaxBackoff
			break
		}
		d *= 2
	}
	return d/2 + rand.N(d/2+1)
}

func (s *StatSender) report(connected bool, err error) {
	if s.config.OnState != nil {
		s.config.OnState(connected, err)
	}
}
