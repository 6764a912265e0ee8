package throttler

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestBreakerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(1, 1)
		if err := b.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		why := errors.New("client gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error, 1)
		go func() { got <- b.Acquire(ctx) }()
		synctest.Wait()
		if err := b.Acquire(t.Context()); !errors.Is(err, ErrQueueFull) {
			t.Errorf("second waiter: %v", err)
		}
		cancel(why)
		if err := <-got; !errors.Is(err, why) {
			t.Errorf("cancelled: %v", err)
		}
		b.Release()
		if err := b.Acquire(ctx); !errors.Is(err, why) {
			t.Errorf("with a free slot and an ended context: %v", err)
		}
		if want := (BreakerStats{Capacity: 1, Queue: 1, Refused: 1}); b.Stats() != want {
			t.Errorf("left behind: %+v", b.Stats())
		}
	})
}

func TestBreakerReleasePanicsWhenNothingIsHeld(t *testing.T) {
	b := NewBreaker(1, 0)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
		if !b.TryAcquire() || b.TryAcquire() {
			t.Error("the books are wrong after the panic")
		}
	}()
	b.Release()
}

func TestBreakerCapacityZeroLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(0, 10)
		if b.TryAcquire() {
			t.Error("entered")
		}
		got := make(chan error, 1)
		go func() { got <- b.Acquire(t.Context()) }()
		synctest.Wait()
		if b.Waiting() != 1 || b.InFlight() != 0 {
			t.Errorf("%+v", b.Stats())
		}
		b.Resize(1, 10)
		if err := <-got; err != nil || b.Stats().Capacity != 1 {
			t.Errorf("after Resize: %v, %+v", err, b.Stats())
		}
	})
}

// breakerModel is the naive breaker: numbers and a slice.
type breakerModel struct {
	b               *Breaker
	capacity, queue int
	inFlight        int
	waiting         []*breakerCall
	refused         uint64
}

type breakerCall struct {
	cancel context.CancelFunc
	done   bool
	err    error
}

func (m *breakerModel) serve() {
	for len(m.waiting) > 0 && m.inFlight < m.capacity {
		m.inFlight++
		m.waiting = m.waiting[1:]
	}
}

func (m *breakerModel) acquire(t *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &breakerCall{cancel: cancel}
	go func() {
		c.err = m.b.Acquire(ctx)
		c.done = true
	}()
	synctest.Wait()
	switch {
	case len(m.waiting) == 0 && m.inFlight < m.capacity:
		m.inFlight++
		if !c.done || c.err != nil {
			t.Fatalf("a free slot: done %v, %v", c.done, c.err)
		}
	case len(m.waiting) >= m.queue:
		m.refused++
		if !c.done || !errors.Is(c.err, ErrQueueFull) {
			t.Fatalf("a full queue: done %v, %v", c.done, c.err)
		}
	default:
		m.waiting = append(m.waiting, c)
	}
}

func (m *breakerModel) check(t *rapid.T, all []*breakerCall) {
	synctest.Wait()
	want := BreakerStats{Capacity: m.capacity, Queue: m.queue, InFlight: m.inFlight, Waiting: len(m.waiting), Refused: m.refused}
	if got := m.b.Stats(); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	for i, c := range all {
		if c.done == slices.Contains(m.waiting, c) {
			t.Fatalf("call %d of %d: done %v: served out of turn", i, len(all), c.done)
		}
	}
}

func TestBreakerAgainstModel(t *testing.T) {
	checkInBubble(t, func(t *rapid.T) {
		m := &breakerModel{capacity: 2, queue: 3}
		m.b = NewBreaker(m.capacity, m.queue)
		var waited []*breakerCall
		defer func() {
			for _, c := range m.waiting {
				c.cancel()
			}
			synctest.Wait()
		}()
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				m.acquire(t)
				if n := len(m.waiting); n > 0 && !slices.Contains(waited, m.waiting[n-1]) {
					waited = append(waited, m.waiting[n-1])
				}
			},
			"try": func(t *rapid.T) {
				want := len(m.waiting) == 0 && m.inFlight < m.capacity
				if got := m.b.TryAcquire(); got != want {
					t.Fatalf("TryAcquire: %v", got)
				}
				if want {
					m.inFlight++
				}
			},
			"release": func(t *rapid.T) {
				if m.inFlight > 0 {
					m.b.Release()
					m.inFlight--
					m.serve()
				}
			},
			"cancel": func(t *rapid.T) {
				if len(m.waiting) > 0 {
					i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "who")
					m.waiting[i].cancel()
					m.waiting = slices.Delete(m.waiting, i, i+1)
				}
			},
			"resize": func(t *rapid.T) {
				m.capacity = rapid.IntRange(0, 5).Draw(t, "capacity")
				m.queue = rapid.IntRange(0, 5).Draw(t, "queue")
				m.b.Resize(m.capacity, m.queue)
				m.serve()
			},
			"": func(t *rapid.T) { m.check(t, waited) },
		})
	})
}

// Under any interleaving no request enters beyond capacity, and no slot is lost.
func TestBreakerRaces(t *testing.T) {
	const most = 4
	b := NewBreaker(most, 8)
	var inside, above atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 300 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%7)*20*time.Microsecond)
				if i%3 == 0 && b.TryAcquire() || b.Acquire(ctx) == nil {
					if inside.Add(1) > most {
						above.Add(1)
					}
					inside.Add(-1)
					b.Release()
				}
				cancel()
			}
		})
	}
	wg.Go(func() {
		for i := range 600 {
			b.Resize(i%(most+1), 4+i%5)
		}
		b.Resize(most, 8)
	})
	wg.Wait()
	if above.Load() > 0 {
		t.Errorf("%d times above capacity", above.Load())
	}
	if s := b.Stats(); s.InFlight != 0 || s.Waiting != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// 64 clients at limit 4 with 5 ms each: the ideal is 80 ms for the last, and none overtakes another.
func TestPeers14StrictFIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(4, 64)
		start := time.Now()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if err := b.Acquire(t.Context()); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
				b.Release()
			})
			synctest.Wait()
		}
		wg.Wait()
		if took := time.Since(start); took != 80*time.Millisecond {
			t.Errorf("took %v", took)
		}
		for i, who := range order {
			if i/4 != who/4 {
				t.Errorf("%d was served as number %d", who, i)
			}
		}
	})
}

func TestPeers15RetryAfterFromDrainRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBreaker(1, 1000)
		if got := b.RetryAfter(); got != time.Second {
			t.Errorf("nothing measured: %v", got)
		}
		if !b.TryAcquire() {
			t.Fatal("no slot")
		}
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if b.Acquire(t.Context()) == nil {
					time.Sleep(100 * time.Millisecond)
					b.Release()
				}
			})
		}
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		b.Release()
		time.Sleep(5*time.Second + 950*time.Millisecond)
		// 10 a second, and a new request would be the 141st.
		if got := b.RetryAfter(); got != 15*time.Second {
			t.Errorf("%d wait at 10 a second: %v", b.Waiting(), got)
		}
		wg.Wait()
		time.Sleep(time.Hour)
		if got := b.RetryAfter(); got != time.Second {
			t.Errorf("an empty queue after a quiet hour: %v", got)
		}
	})
}
