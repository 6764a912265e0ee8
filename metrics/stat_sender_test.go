package metrics

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-proxy/sluice/metrics/statpb"
)

func numbered(i int) *statpb.WireStatMessages {
	return &statpb.WireStatMessages{Messages: []*statpb.WireStatMessage{{
		Namespace: "ns", Name: "rev", Stat: &statpb.Stat{PodName: "activator", RequestCount: float64(i)},
	}}}
}

type change struct {
	connected bool
	err       error
}

// runningSender is a StatSender whose Run is under way until stop.
type runningSender struct {
	*StatSender
	stop func() // cancels and waits
	mu   sync.Mutex
	seen []change
}

func (r *runningSender) changes() []change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func runSender(t *testing.T, c StatSenderConfig) *runningSender {
	t.Helper()
	r := &runningSender{}
	c.OnState = func(connected bool, err error) {
		r.mu.Lock()
		r.seen = append(r.seen, change{connected, err})
		r.mu.Unlock()
	}
	if c.MaxBackoff == 0 {
		c.MinBackoff, c.MaxBackoff = time.Millisecond, 20*time.Millisecond
	}
	s, err := NewStatSender(c)
	if err != nil {
		t.Fatal(err)
	}
	r.StatSender = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func TestStatSenderKeepsOrderAndFlushesAtTheEnd(t *testing.T) {
	a := newAutoscaler(t)
	a.listen()
	s := runSender(t, StatSenderConfig{URL: a.url(), Buffer: 1000})
	eventually(t, "connected", s.Connected)
	for i := range 1000 {
		s.Send(numbered(i))
	}
	s.stop() // most are still in the buffer
	eventually(t, "the close frame arrives", func() bool { return a.goodbye.Load() != 0 })
	if got := websocket.StatusCode(a.goodbye.Load()); got != websocket.StatusNormalClosure {
		t.Errorf("closed with %v", got)
	}
	got := a.received()
	if len(got) != 1000 || !slices.IsSorted(got) {
		t.Errorf("%d received, sorted: %v", len(got), slices.IsSorted(got))
	}
	if s.sent.Load() != 1000 || s.Dropped() != 0 || s.Errors() != 0 || s.Connected() {
		t.Errorf("sent %d, dropped %d, errors %d, connected %v", s.sent.Load(), s.Dropped(), s.Errors(), s.Connected())
	}
	if got := s.changes(); len(got) != 2 || got[0] != (change{true, nil}) || got[1] != (change{false, nil}) {
		t.Errorf("OnState: %v", got)
	}
}

func TestStatSenderComesBackAfterTheServerDied(t *testing.T) {
	a := newAutoscaler(t)
	a.listen()
	s := runSender(t, StatSenderConfig{URL: a.url(), Buffer: 10_000, MaxAge: -1})
	n := 0
	for range 4 {
		eventually(t, "connected", s.Connected)
		before := len(a.received())
		for range 50 {
			s.Send(numbered(n))
			n++
		}
		eventually(t, "some arrive", func() bool { return len(a.received()) > before })
		a.kill()
		eventually(t, "noticed", func() bool { return !s.Connected() })
		for range 50 {
			s.Send(numbered(n))
			n++
		}
		a.listen()
	}
	eventually(t, "the last arrives", func() bool {
		got := a.received()
		return got[len(got)-1] == n-1
	})
	got := a.received()
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Fatalf("%d after %d", got[i], got[i-1])
		}
	}
	for i := n - 50; i < n; i++ { // sent while there was no connection: kept
		if _, ok := slices.BinarySearch(got, i); !ok {
			t.Errorf("%d is missing", i)
		}
	}
	if s.Errors() < 4 || s.Dropped() != 0 {
		t.Errorf("errors %d, dropped %d", s.Errors(), s.Dropped())
	}
	// OnState is called for changes alone: up and down in turn, and why it went down.
	for i, c := range s.changes() {
		if c.connected != (i%2 == 0) || c.connected == (c.err != nil) {
			t.Errorf("change %d: %+v", i, c)
		}
	}
}

func TestStatSenderTellsOnceThatNobodyListens(t *testing.T) {
	s := runSender(t, StatSenderConfig{URL: "ws://" + unusedAddr(t)})
	eventually(t, "several attempts", func() bool { return s.Errors() >= 5 })
	if got := s.changes(); len(got) != 1 || got[0].connected || got[0].err == nil {
		t.Errorf("OnState: %v", got)
	}
	s.Send(numbered(1))
	began := time.Now()
	s.stop()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("Run took %v to end", d)
	}
}

func TestStatSenderGivesUpAConnectionWithoutPong(t *testing.T) {
	a := newAutoscaler(t)
	a.silent = true
	a.listen()
	began := time.Now()
	s := runSender(t, StatSenderConfig{URL: a.url(), PingInterval: 20 * time.Millisecond, PongTimeout: 300 * time.Millisecond})
	eventually(t, "given up", func() bool { return len(s.changes()) >= 2 })
	if d := time.Since(began); d < 300*time.Millisecond {
		t.Errorf("after %v", d)
	}
	if got := s.changes(); !errors.Is(got[1].err, ErrNoPong) {
		t.Errorf("OnState: %+v", got)
	}
	// Further pings go out while earlier ones are unanswered.
	if n := a.pings.Load(); n < 3 {
		t.Errorf("%d pings", n)
	}
	eventually(t, "connected again", func() bool { return a.conns.Load() >= 2 })
}

// A ping that takes longer than the interval, on a loaded machine, is no
// reason to give up: the verdict is the pong timeout's alone.
func TestStatSenderKeepsAConnectionThatAnswersPings(t *testing.T) {
	a := newAutoscaler(t)
	a.listen()
	s := runSender(t, StatSenderConfig{URL: a.url(), PingInterval: 20 * time.Millisecond, PongTimeout: 10 * time.Second})
	eventually(t, "pings", func() bool { return a.pings.Load() >= 20 })
	if a.conns.Load() != 1 || s.Errors() != 0 {
		t.Errorf("%d connections, %d errors", a.conns.Load(), s.Errors())
	}
}

func TestStatSenderDropsTheOldestForASlowServer(t *testing.T) {
	a := newAutoscaler(t)
	a.gate = make(chan struct{})
	a.listen()
	s := runSender(t, StatSenderConfig{
		URL: a.url(), Buffer: 8, MaxAge: -1,
		PongTimeout: time.Minute, WriteTimeout: time.Minute,
	})
	eventually(t, "connected", s.Connected)
	pad := strings.Repeat("x", 256<<10)
	n := 0
	eventually(t, "the buffer overflows", func() bool {
		m := numbered(n)
		m.Messages[0].Name = pad
		before := time.Now()
		s.Send(m)
		if d := time.Since(before); d > 5*time.Second {
			t.Fatalf("Send took %v", d)
		}
		n++
		return s.Dropped() >= 20
	})
	close(a.gate)
	eventually(t, "the newest arrives", func() bool {
		got := a.received()
		return len(got) > 0 && got[len(got)-1] == n-1
	})
	got := a.received()
	if !slices.IsSorted(got) || uint64(len(got))+s.Dropped() != uint64(n) {
		t.Errorf("%d received, %d dropped of %d, sorted: %v", len(got), s.Dropped(), n, slices.IsSorted(got))
	}
	// The last eight are those that were in the buffer, without a gap.
	for i, v := range got[len(got)-8:] {
		if v != n-8+i {
			t.Errorf("the end is %v of %d", got[len(got)-8:], n)
			break
		}
	}
}

func TestStatSenderEndsInTimeWithAServerThatHangs(t *testing.T) {
	a := newAutoscaler(t)
	a.gate = make(chan struct{})
	defer close(a.gate)
	a.listen()
	s := runSender(t, StatSenderConfig{URL: a.url(), FlushTimeout: 100 * time.Millisecond, PongTimeout: time.Minute})
	eventually(t, "connected", s.Connected)
	m := numbered(1)
	m.Messages[0].Name = strings.Repeat("x", 32<<20)
	s.Send(m)
	began := time.Now()
	s.stop()
	if d := time.Since(began); d < 100*time.Millisecond || d > 5*time.Second {
		t.Errorf("Run took %v to end", d)
	}
}

func TestStatSenderFlushesWithALateConnection(t *testing.T) {
	a := newAutoscaler(t)
	a.addr = unusedAddr(t)
	s := runSender(t, StatSenderConfig{URL: a.url(), MinBackoff: time.Hour, MaxBackoff: time.Hour})
	eventually(t, "the first attempt failed", func() bool { return s.Errors() == 1 })
	s.Send(numbered(7))
	a.listen()
	s.stop() // during a back-off of at least half an hour
	eventually(t, "it arrives", func() bool { return slices.Equal(a.received(), []int{7}) })
}

// What was half sent when the connection broke is sent again, in its place.
func TestStatSenderSendsAgainWhatBroke(t *testing.T) {
	a := newAutoscaler(t)
	a.gate = make(chan struct{})
	a.listen()
	s := runSender(t, StatSenderConfig{URL: a.url(), MaxAge: -1, PongTimeout: time.Minute, WriteTimeout: time.Minute})
	eventually(t, "connected", s.Connected)
	m := numbered(1)
	m.Messages[0].Name = strings.Repeat("x", 32<<20) // more than the socket takes
	s.Send(m)
	eventually(t, "it is being sent", func() bool { return s.queue.len() == 0 })
	s.Send(numbered(2))
	a.cut()
	close(a.gate)
	a.kill()
	a.gate = nil
	a.listen()
	eventually(t, "both arrive", func() bool { return slices.Equal(a.received(), []int{1, 2}) })
	if s.Dropped() != 0 {
		t.Errorf("dropped %d", s.Dropped())
	}
}

func TestStatSenderSkipsWhatCannotBeEncoded(t *testing.T) {
	a := newAutoscaler(t)
	a.listen()
	s := runSender(t, StatSenderConfig{URL: a.url()})
	bad := numbered(1)
	bad.Messages[0].Name = "\xff"
	s.Send(bad)
	s.Send(numbered(2))
	eventually(t, "the next one arrives", func() bool { return slices.Equal(a.received(), []int{2}) })
	if s.Dropped() != 1 || s.Errors() != 0 {
		t.Errorf("dropped %d, errors %d", s.Dropped(), s.Errors())
	}
}

func TestStatSenderRunsOnce(t *testing.T) {
	a := newAutoscaler(t)
	a.listen()
	s := runSender(t, StatSenderConfig{URL: a.url()})
	eventually(t, "connected", s.Connected)
	if err := s.Run(t.Context()); !errors.Is(err, ErrSenderRunning) {
		t.Errorf("second Run: %v", err)
	}
}

func TestStatSenderConfig(t *testing.T) {
	for _, c := range []StatSenderConfig{
		{},
		{URL: "http://host"},
		{URL: "ws://"},
		{URL: "ws://%"},
		{URL: "ws://host", Buffer: -1},
		{URL: "ws://host", PongTimeout: -1},
		{URL: "ws://host", MinBackoff: time.Minute},
	} {
		if _, err := NewStatSender(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	d := StatSenderConfig{URL: "ws://host"}.withDefaults()
	if d.PingInterval*3 > 10*time.Second || d.PingInterval*3 < 9*time.Second || d.PongTimeout != 10*time.Second {
		t.Errorf("pings each %v, no pong for %v", d.PingInterval, d.PongTimeout)
	}
	for i, longest := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000} {
		longest *= time.Millisecond
		for range 100 {
			if b := d.backoff(i); b < longest/2 || b > longest {
				t.Fatalf("pause %d is %v, want %v at most", i, b, longest)
			}
		}
	}
	if b := d.backoff(1_000_000); b > d.MaxBackoff {
		t.Errorf("pause %v", b)
	}
}

// unusedAddr had a listener a moment ago, so that no other process is likely to have one.
func unusedAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
